"""A request to stop in every phase of the main job: exit code 75 soon, nothing left running, the next start ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.storm import Start, command, make_corpus, read_rows

pytestmark = [pytest.mark.e2e, pytest.mark.chaos]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    make_corpus(folder, 90)
    return folder


def start(corpus: Path, output: Path, **settings: str) -> Start:
    more = [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
    return Start([*command(corpus, output), *more], output, output.with_suffix(".log"))


def wait_until(happened: Callable[[], bool], started: Start) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert started.running, started.output
        assert time.monotonic() < deadline, started.output
        time.sleep(0.05)


def stop(started: Start, number: int = signal.SIGTERM) -> None:
    """Ask the command to stop and assert how it leaves."""
    os.kill(started.process.pid, number)
    code = started.process.wait(timeout=120)
    assert code == 75, started.output
    assert "the same command goes on" in started.output
    assert "Traceback" not in started.output, started.output
    assert started.leave_behind() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_spark_makes_prompts(number: int, corpus: Path, tmp_path: Path) -> None:
    started = start(corpus, tmp_path / "out")
    wait_until(lambda: "jvm" in started.victims() and started.files("config.json") > 0, started)
    time.sleep(2)
    stop(started, number)


def test_a_stop_while_models_load(corpus: Path, tmp_path: Path) -> None:
    started = start(corpus, tmp_path / "out", engine__extra__start_s="600")
    wait_until(lambda: started.files("progress.json") > 0, started)
    stop(started)


def test_a_stop_while_replicas_answer_waits_no_longer_than_asked_and_the_next_start_ends_the_job(
    corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    started = start(corpus, output, engine__extra__slow_s="0.5", engine__extra__batch="1", pool__drain_timeout_s="3")
    wait_until(lambda: started.files("completions/*.parquet") >= 1, started)
    stop(started)
    assert not output.exists()
    finished = start(corpus, output)
    assert finished.process.wait(timeout=300) == 0, finished.output
    assert finished.leave_behind() == []
    assert len(read_rows(output)) == 90 * 3


@pytest.mark.parametrize("part", ["gcs", "raylet"])
def test_a_ray_cluster_that_dies_ends_the_command_in_words(part: str, corpus: Path, tmp_path: Path) -> None:
    started = start(corpus, tmp_path / "out", engine__extra__slow_s="0.1")
    wait_until(lambda: started.files("completions/*.parquet") >= 1, started)
    os.kill(started.victims()[part][0], signal.SIGKILL)
    assert started.process.wait(timeout=120) == 3, started.output
    assert "the local Ray cluster died" in started.output
    assert "Traceback" not in started.output, started.output
    assert started.leave_behind() == []
