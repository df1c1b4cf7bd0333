"""Both DAGs in a real Airflow: two intervals, a rerun, a stop, a kill, and thresholds that no retry cures.

The states of runs and tasks are Airflow's own; the rows are read back from the output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.conftest import Deployment, states

pytestmark = [pytest.mark.e2e]


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert process.poll() is None, "Airflow left early:\n" + process.communicate()[0][-4000:]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def holder(work: Path) -> dict[str, Any] | None:
    """Who works on the run of a workdir, from its first claim."""
    claims = list(work.glob("runs/*/holders/000001.json"))
    return json.loads(claims[0].read_text()) if claims and claims[0].stat().st_size else None


def report(work: Path) -> dict[str, Any]:
    [path] = work.glob("runs/*/report.json")
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def one_task(airflow_home: Deployment) -> tuple[Deployment, list[dict[str, Any]]]:
    """Two days by one spark-submit each, with the real model; the second is stopped once by whoever runs Airflow."""
    days = ("2026-01-01", "2026-01-02")
    for day in days:
        airflow_home.write_day(day)
    airflow_home.configure()
    process = airflow_home.start("uniner_one_task", *days)
    wait_until(lambda: holder(airflow_home.work(days[1])) is not None, process)
    os.kill(process.pid, signal.SIGTERM)
    return airflow_home, airflow_home.finish(process)


def test_one_task_a_day_annotates_the_partition_of_its_interval(
    one_task: tuple[Deployment, list[dict[str, Any]]],
) -> None:
    deployment, outcomes = one_task
    assert states(outcomes) == [("2026-01-01", "success"), ("2026-01-02", "success")]
    for day in ("2026-01-01", "2026-01-02"):
        expected = {(f"{day}-{i}", kind) for i in range(20) for kind in ("person", "location")}
        assert set(deployment.rows(day)) == expected
    found = [row for row in deployment.rows("2026-01-01").values() if row["outcome"] == "found"]
    assert len(found) > 10, "the demonstration model finds names in these sentences"


def test_a_stop_drains_the_job_and_the_next_try_goes_on(one_task: tuple[Deployment, list[dict[str, Any]]]) -> None:
    deployment, outcomes = one_task
    assert outcomes[0]["tasks"] == {"annotate": ["success", 1]}
    assert outcomes[1]["tasks"] == {"annotate": ["success", 2]}
    assert "Error code is: 75" in deployment.log
    assert "stopped by SIGTERM" in deployment.log or "stopped on request" in deployment.log
    runs = list(deployment.work("2026-01-02").glob("runs/*"))
    assert len(runs) == 1, "both tries worked on the same run"


def test_a_rerun_changes_nothing(one_task: tuple[Deployment, list[dict[str, Any]]]) -> None:
    deployment, _ = one_task
    before = deployment.files()
    outcomes = deployment.run("uniner_one_task", "2026-01-01", "2026-01-02")
    assert states(outcomes) == [("2026-01-01", "success"), ("2026-01-02", "success")]
    assert deployment.log.count("is finished") == 2
    assert deployment.files() == before


@pytest.fixture(scope="module")
def three_tasks(airflow_home: Deployment) -> tuple[Deployment, list[dict[str, Any]]]:
    """Two days by three tasks each: on the first the completions are killed once, the second has too many rejects."""
    killed, rejected = "2026-02-01", "2026-02-02"
    airflow_home.write_day(killed)
    airflow_home.write_day(rejected, rejected=10)
    airflow_home.configure(
        engine__kind="scripted", engine__extra={"slow_s": 0.1, "batch": 1}, run__allow_rejects_fraction=0.2
    )
    process = airflow_home.start("uniner_three_tasks", killed, rejected)
    work = airflow_home.work(killed)
    wait_until(lambda: any(work.glob("runs/*/completions/*.parquet")), process)
    [latest] = sorted(work.glob("runs/*/holders/??????.json"))[-1:]
    os.kill(json.loads(latest.read_text())["pid"], signal.SIGKILL)
    return airflow_home, airflow_home.finish(process)


def test_three_tasks_a_day_resume_after_a_kill(three_tasks: tuple[Deployment, list[dict[str, Any]]]) -> None:
    deployment, outcomes = three_tasks
    assert states(outcomes)[0] == ("2026-02-01", "success")
    assert outcomes[0]["tasks"] == {
        "prompts": ["success", 1],
        "completions": ["success", 2],
        "annotations": ["success", 1],
    }
    assert report(deployment.work("2026-02-01"))["completions"]["shards_kept_from_earlier_starts"] >= 1
    rows = deployment.rows("2026-02-01")
    assert len(rows) == 40
    assert {row["outcome"] for row in rows.values()} <= {"found", "none"}


def test_a_threshold_fails_the_run_at_once_and_in_words(three_tasks: tuple[Deployment, list[dict[str, Any]]]) -> None:
    deployment, outcomes = three_tasks
    assert states(outcomes)[1] == ("2026-02-02", "failed")
    assert outcomes[1]["tasks"] == {
        "prompts": ["failed", 1],
        "completions": ["upstream_failed", 0],
        "annotations": ["upstream_failed", 0],
    }
    assert "10 of 20 corpus rows were rejected" in deployment.log
    assert "exit code 5: another try would end the same way" in deployment.log
    assert deployment.rows("2026-02-02") == {}


def test_three_tasks_once_more_change_nothing(three_tasks: tuple[Deployment, list[dict[str, Any]]]) -> None:
    deployment, _ = three_tasks
    before = deployment.files()
    [outcome] = deployment.run("uniner_three_tasks", "2026-02-01")
    assert outcome["state"] == "success"
    for words in ("every shard is committed already", "is finished"):
        assert words in deployment.log
    assert deployment.files() == before
