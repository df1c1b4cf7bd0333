"""The completions stage with everything on S3 behind a sick proxy: the command and real Ray actors."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.ray.conftest import make_run_in
from tests.support.flaky import Fault, FlakyProxy, client_environment
from tests.support.pool import TYPES, assert_answers, texts
from uniner_dist.completions.stage import is_complete
from uniner_dist.run.run import Run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.filesystem import find_files, read_bytes

pytestmark = [pytest.mark.ray, pytest.mark.e2e]
SECRET = "test-secret-never-shown"


def s3_run(folder: Path, name: str) -> Run:
    """A run whose workdir lies on S3."""
    shards = [texts(10, seed) for seed in range(10)]
    return make_run_in(folder, shards, TYPES, workdir=f"s3://bucket/{name}", pool={"replicas": 2})


def complete(run: Run, proxy: FlakyProxy, attempts: int) -> tuple[int, str, set[str]]:
    """Run the command; returns its exit code, its words, and the arguments of every process that it started."""
    code = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"
    arguments = [sys.executable, "-c", code, "completions", "--workdir", run.config.workdir_path]
    env = {**os.environ, **client_environment(proxy, attempts)}
    process = subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: set[str] = set()
    while process.poll() is None:
        for member in psutil.Process(process.pid).children(recursive=True):
            try:
                lines.add(" ".join(member.cmdline()))
            except psutil.Error:
                continue
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            continue
    words = process.stdout.read() if process.stdout else ""
    return process.returncode, words, lines


def test_a_throttled_and_failing_store_costs_no_row_and_no_replica(s3: FlakyProxy, tmp_path: Path) -> None:
    run = s3_run(tmp_path, "sick")
    rng = random.Random(7)
    faults: list[Fault] = ["500", "503", "cut", "lost", "half"]
    s3.plan = lambda method, path: rng.choice(faults) if rng.random() < 0.1 else None
    code, words, lines = complete(run, s3, attempts=3)
    s3.plan = lambda method, path: None
    assert code == 0, words
    assert sum(s3.spoiled.values()) > 5
    assert is_complete(run)
    assert_answers(run)
    assert read_starts(run.layout)[-1].deaths == 0
    assert any("ray::Replica" in line for line in lines)
    places = {"output": words, "arguments": "\n".join(lines)}
    for name in find_files(run.layout.root):
        places[name] = read_bytes(f"{run.layout.root}/{name}").decode(errors="replace")
    assert [place for place, content in places.items() if SECRET in content] == []


@pytest.mark.slow
def test_a_store_that_refuses_completions_blames_no_prompt(s3: FlakyProxy, tmp_path: Path) -> None:
    run = s3_run(tmp_path, "refusing")
    s3.plan = lambda method, path: "403" if method == "PUT" and "/completions/" in path else None
    code, words, _ = complete(run, s3, attempts=1)
    s3.plan = lambda method, path: None
    assert code == 3, words
    assert "/completions/00000-" in words
    assert "times, for the last time with:" in words
    assert "Access Denied" in words
    assert "Traceback" not in words
    [attempt] = read_starts(run.layout)
    assert attempt.deaths == 0
    assert attempt.work_failures >= 3
    assert not find_files(run.layout.completions)
