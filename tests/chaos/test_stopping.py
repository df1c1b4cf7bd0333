"""A request to stop in every phase of the main job: exit code 75 soon, nothing left running, the next start ends it."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import make_run_in
from tests.support.pool import TYPES, assert_answers, complete, texts
from tests.support.storm import Start, command
from uniner_dist.config.schema import EngineConfig
from uniner_dist.run.run import Run
from uniner_dist.storage.shards import committed_shards

pytestmark = [pytest.mark.e2e, pytest.mark.chaos]
#: The other signal takes the same way.
SLOW = pytest.mark.slow


def wait_until(happened: Callable[[], bool], started: Start) -> None:
    deadline = time.monotonic() + 1200
    while not happened():
        assert started.running, started.output
        assert time.monotonic() < deadline, started.output
        time.sleep(0.02)


def stop(started: Start, number: int = signal.SIGTERM) -> None:
    """Ask the command to stop as terminals, timeout and systemd do (its whole group gets it); assert how it leaves."""
    os.killpg(started.process.pid, number)
    code = started.process.wait(timeout=1200)
    assert code == 75, started.output
    assert "the same command resumes" in started.output
    assert "Traceback" not in started.output, started.output
    assert started.leave_behind() == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [pytest.param(signal.SIGTERM, "config.json", marks=SLOW), (signal.SIGINT, "occurrences/*/_temporary")],
)
def test_a_stop_while_spark_makes_prompts(number: int, moment: str, corpus: Path, tmp_path: Path) -> None:
    started = Start(command(corpus, tmp_path / "out"), tmp_path / "out.work", tmp_path / "log")
    wait_until(lambda: "jvm" in started.victims() and started.files(moment) > 0, started)
    stop(started, number)


def start_completions(folder: Path, **extra: Any) -> tuple[Start, Run]:
    """The completions command over prompts that are made already."""
    run = make_run_in(
        folder,
        [texts(20, seed) for seed in range(8)],
        TYPES,
        workdir=f"{folder}/job.work",
        pool={"drain_timeout_s": 3},
        engine={"extra": extra},
    )
    code = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"
    same = [part for name, value in extra.items() for part in ("--set", f"engine.extra.{name}={value}")]
    arguments = [sys.executable, "-c", code, "completions", "--workdir", f"{folder}/job.work", *same]
    return Start(arguments, folder / "job.work", folder / "log"), run


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=SLOW)])
def test_a_stop_while_the_ray_cluster_starts(number: int, tmp_path: Path) -> None:
    started, _ = start_completions(tmp_path)
    wait_until(lambda: "gcs" in started.victims(), started)
    assert started.files("progress.json") == 0, "it is over too soon to see anything"
    stop(started, number)


def test_a_stop_while_models_load(tmp_path: Path) -> None:
    started, _ = start_completions(tmp_path, start_s=600)
    wait_until(lambda: started.files("progress.json") > 0, started)
    stop(started)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=SLOW), signal.SIGINT])
def test_a_stop_waits_no_longer_than_asked_and_the_next_start_ends_the_job(
    number: int, ray: Any, tmp_path: Path
) -> None:
    started, run = start_completions(tmp_path, slow_s=0.2, batch=1)
    wait_until(lambda: started.files("completions/*.parquet") >= 1, started)
    stop(started, number)
    kept = len(committed_shards(run.layout))
    assert 1 <= kept < 8
    quick = run.config.model_copy(update={"engine": EngineConfig(kind="scripted")})
    assert complete(dataclasses.replace(run, config=quick)).shards_reused == kept
    assert_answers(run)


def test_a_ray_cluster_that_dies_while_it_starts_ends_the_command_in_words(tmp_path: Path) -> None:
    """Ray by itself ends the process with code 1 and a log line, after 45 s."""
    started, _ = start_completions(tmp_path)
    wait_until(lambda: "raylet" in started.victims(), started)
    assert started.files("progress.json") == 0, "it is over too soon to see anything"
    os.kill(started.victims()["gcs"][0], signal.SIGKILL)
    assert started.process.wait(timeout=1200) == 3, started.output
    assert "ray.address local" in started.output or "the local Ray cluster died" in started.output
    assert "Traceback" not in started.output, started.output
    assert started.leave_behind() == []


@pytest.mark.parametrize("part", [pytest.param("gcs", marks=pytest.mark.slow), "raylet"])
def test_a_ray_cluster_that_dies_ends_the_command_in_words(part: str, tmp_path: Path) -> None:
    started, _ = start_completions(tmp_path, slow_s=0.1)
    wait_until(lambda: started.files("completions/*.parquet") >= 1, started)
    os.kill(started.victims()[part][0], signal.SIGKILL)
    assert started.process.wait(timeout=1200) == 3, started.output
    assert "the local Ray cluster died" in started.output
    assert "Traceback" not in started.output, started.output
    assert started.leave_behind() == []
