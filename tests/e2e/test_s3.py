"""The main job from an `s3://` corpus to `s3://` annotations, with the Spark that pip installs and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from tests.e2e.conftest import SCRIPTED, annotate, read_rows, rows_on_s3, run, uniner_dist
from tests.support.flaky import FlakyProxy, client_environment, flaky_s3
from uniner_dist.storage.filesystem import find_files, list_names, read_bytes, write_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.ray, pytest.mark.slow]
SECRET = "test-secret-never-shown"


def command(name: str, *more: str) -> list[str]:
    places = ["--corpus", "s3://bucket/corpus", "--output", f"s3://bucket/{name}", "--types", "person,location"]
    return uniner_dist("annotate", *places, *SCRIPTED, *more)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyProxy]:
    """An S3 server on loopback, which this process and its children find by environment variables alone."""
    with flaky_s3() as server:
        for name, value in client_environment(server, attempts=3).items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        yield server
        S3FileSystem.clear_instance_cache()


def test_a_crash_on_the_way_from_s3_to_s3_costs_no_row(s3: FlakyProxy, corpus: Path, tmp_path: Path) -> None:
    for path in corpus.rglob("*.parquet"):
        write_bytes(f"s3://bucket/corpus/{path.relative_to(corpus)}", path.read_bytes())
    slow = command("out", "--set", "engine.extra.slow_s=0.05")
    process = subprocess.Popen(slow, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    runs = "s3://bucket/out.work/runs"
    while not (names := list_names(runs)) or len(list_names(f"{runs}/{names[0]}/completions")) < 2:
        assert time.monotonic() < deadline, "no shard was committed in time"
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    words = process.communicate()[0]
    assert list_names("s3://bucket/out") == [], "nothing is visible before it is published"
    words += run(slow)
    assert "a cluster whose Spark has a connector for it is faster" in words
    run(annotate(corpus, tmp_path / "local", *SCRIPTED))
    assert rows_on_s3("s3://bucket/out") == read_rows(tmp_path / "local")
    places = {name: read_bytes(f"{runs}/{name}").decode(errors="replace") for name in find_files(runs)}
    assert [place for place, content in {**places, "words": words}.items() if SECRET in content] == []
