"""Both DAGs in a real Airflow: two intervals, a rerun, a stop, a kill, and thresholds that no retry cures.

The states of runs and tasks are Airflow's own; the rows are read back from the output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.airflow.conftest import ROOT, Deployment, Ran
from tests.e2e.conftest import read_rows

pytestmark = [pytest.mark.e2e]


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[bytes], deployment: Deployment) -> None:
    deadline = time.monotonic() + 1200
    while not happened():
        assert process.poll() is None, f"Airflow left early:\n{deployment.log[-8000:]}"
        assert time.monotonic() < deadline, f"it did not happen in time:\n{deployment.log[-8000:]}"
        time.sleep(0.05)


def holder(work: Path) -> dict[str, Any] | None:
    """Who works on the run of a workdir, from its first claim."""
    claims = list(work.glob("runs/*/holders/000001.json"))
    return json.loads(claims[0].read_text()) if claims and claims[0].stat().st_size else None


def report(work: Path) -> dict[str, Any]:
    [path] = work.glob("runs/*/report.json")
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def one_task(airflow_home: Deployment) -> Ran:
    """Two days by one spark-submit each; the second is stopped once by whoever runs Airflow."""
    first, second = "2026-01-01", "2026-01-02"
    airflow_home.write_day(first)
    airflow_home.write_day(second)
    airflow_home.configure(engine__kind="scripted", engine__extra={"slow_s": 0.1, "batch": 1})
    process = airflow_home.start("uniner_one_task", first, second)
    wait_until(lambda: holder(airflow_home.work(second)) is not None, process, airflow_home)
    os.kill(process.pid, signal.SIGTERM)
    return airflow_home.finish(process)


def test_one_task_a_day_annotates_the_partition_of_its_interval(airflow_home: Deployment, one_task: Ran) -> None:
    assert one_task.states == [("2026-01-01", "success"), ("2026-01-02", "success")]
    for day in ("2026-01-01", "2026-01-02"):
        expected = {(f"{day}-{i}", kind) for i in range(20) for kind in ("person", "location")}
        assert set(airflow_home.rows(day)) == expected
    found = [row for row in airflow_home.rows("2026-01-01").values() if row["outcome"] == "found"]
    assert len(found) > 10, "there are names in these sentences"


def test_a_stop_drains_the_job_and_the_next_try_goes_on(airflow_home: Deployment, one_task: Ran) -> None:
    assert one_task.tasks == [{"annotate": ["success", 1]}, {"annotate": ["success", 2]}]
    assert "Error code is: 75" in one_task.log
    assert "stopped by SIGTERM" in one_task.log or "stopped on request" in one_task.log
    runs = list(airflow_home.work("2026-01-02").glob("runs/*"))
    assert len(runs) == 1, "both tries worked on the same run"


@pytest.mark.slow
def test_a_rerun_changes_nothing(airflow_home: Deployment, one_task: Ran) -> None:
    before = airflow_home.files()
    again = airflow_home.run("uniner_one_task", "2026-01-01", "2026-01-02")
    assert again.states == one_task.states
    assert again.log.count("is finished") == 2
    assert airflow_home.files() == before


@pytest.fixture(scope="module")
def three_tasks(airflow_home: Deployment) -> Ran:
    """Two days by three tasks each: on the first the completions are killed once, the second has too many rejects."""
    first, second = "2026-02-01", "2026-02-02"
    airflow_home.write_day(first)
    airflow_home.write_day(second, rejected=10)
    airflow_home.configure(
        engine__kind="scripted", engine__extra={"slow_s": 0.1, "batch": 1}, run__allow_rejects_fraction=0.2
    )
    process = airflow_home.start("uniner_three_tasks", first, second)
    work = airflow_home.work(first)
    wait_until(lambda: any(work.glob("runs/*/completions/*.parquet")), process, airflow_home)
    [latest] = sorted(work.glob("runs/*/holders/??????.json"))[-1:]
    os.kill(json.loads(latest.read_text())["pid"], signal.SIGKILL)
    return airflow_home.finish(process)


@pytest.mark.slow
def test_three_tasks_a_day_resume_after_a_kill(airflow_home: Deployment, three_tasks: Ran) -> None:
    assert three_tasks.states[0] == ("2026-02-01", "success")
    assert three_tasks.tasks[0] == {
        "prompts": ["success", 1],
        "completions": ["success", 2],
        "annotations": ["success", 1],
    }
    assert report(airflow_home.work("2026-02-01"))["completions"]["shards_kept_from_earlier_starts"] >= 1
    rows = airflow_home.rows("2026-02-01")
    assert len(rows) == 40
    assert {row["outcome"] for row in rows.values()} <= {"found", "none"}


@pytest.mark.slow
def test_a_threshold_fails_the_run_at_once_and_in_words(airflow_home: Deployment, three_tasks: Ran) -> None:
    assert three_tasks.states[1] == ("2026-02-02", "failed")
    assert three_tasks.tasks[1] == {
        "prompts": ["failed", 1],
        "completions": ["upstream_failed", 0],
        "annotations": ["upstream_failed", 0],
    }
    assert "10 of 20 corpus rows were rejected" in three_tasks.log
    assert "exit code 5: another try would end the same way" in three_tasks.log
    assert airflow_home.rows("2026-02-02") == {}


@pytest.mark.slow
def test_three_tasks_once_more_change_nothing(airflow_home: Deployment, three_tasks: Ran) -> None:
    before = airflow_home.files()
    again = airflow_home.run("uniner_three_tasks", "2026-02-01")
    assert again.states == [("2026-02-01", "success")]
    for words in ("every shard is committed already", "is finished"):
        assert words in again.log
    assert airflow_home.files() == before


@pytest.mark.slow
def test_only_what_uses_gpus_waits_for_them(one_task: Ran, three_tasks: Ran) -> None:
    assert one_task.days[0]["pools"] == {"annotate": "uniner_gpu"}
    assert three_tasks.days[0]["pools"] == {
        "prompts": "default_pool",
        "completions": "uniner_gpu",
        "annotations": "default_pool",
    }


@pytest.mark.slow
def test_all_tasks_of_an_interval_read_one_version_of_a_table(airflow_home: Deployment) -> None:
    table, work = str(airflow_home.root / "notes"), airflow_home.work("2026-04-01")

    def documents(*numbers: int) -> pa.Table:
        return pa.table({"doc_id": [f"t{n}" for n in numbers], "text": [f"Paula met Erik {n} times." for n in numbers]})

    write_deltalake(table, documents(*range(20)))
    airflow_home.configure(engine__kind="scripted")
    variable = {"python": sys.executable, "jobs": str(ROOT / "jobs"), "config": str(airflow_home.root / "job.yaml")}
    variable |= {"table": table, "output": f"{table}.annotations", "workdir": str(work.parent)}
    variable["completions"] = f"{sys.executable} {ROOT}/jobs/completions.py"
    env = {"AIRFLOW_VAR_UNINER_DIST": json.dumps(variable)}
    process = airflow_home.start("uniner_three_tasks", "2026-04-01", **env)
    wait_until(lambda: any(work.glob("runs/*/config.json")), process, airflow_home)
    DeltaTable(table).delete("doc_id = 't3'")
    write_deltalake(table, documents(20, 21), mode="append")
    ran = airflow_home.finish(process)
    assert ran.states == [("2026-04-01", "success")]
    rows = read_rows(Path(f"{table}.annotations"))
    assert {doc_id for doc_id, _ in rows} == {f"t{n}" for n in range(20)}
    again = airflow_home.run("uniner_three_tasks", "2026-04-02", **env)
    assert again.states == [("2026-04-02", "success")]
    rows = read_rows(Path(f"{table}.annotations"))
    assert {doc_id for doc_id, _ in rows} == {f"t{n}" for n in range(22)} - {"t3"}


def test_a_missing_connection_is_refused_and_not_taken_for_yarn(airflow_home: Deployment) -> None:
    without = f"sqlite:///{airflow_home.root}/without-connection.db"
    ran = airflow_home.run("uniner_one_task", "2026-03-01", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=without)
    assert ran.states == [("2026-03-01", "failed")]
    assert ran.tasks == [{"annotate": ["failed", 1]}]
    assert "connection uniner_spark: is not defined, or cannot be read as it is spelt" in ran.log
    assert "spark-submit" not in ran.log
