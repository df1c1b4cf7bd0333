"""Executors of a real standalone Spark cluster that are killed outright while stages work on them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.standalone_cluster import StandaloneCluster, standalone_cluster
from tests.support.storm import Start, command, read_rows

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.slow]

#: Files of the run whose appearance says that tasks of a stage are at work on the executors, in order.
MOMENTS = {
    "prompts: long texts are split": "occurrences/*/_temporary",
    "prompts: shards are written": "prompts/shard=*/part-0.parquet",
    "annotations: answers are read": "publishing/*/answers/part-*.parquet",
    "annotations: rows are written": "publishing/*/annotations/_temporary",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def start(corpus: Path, output: Path, cluster: StandaloneCluster) -> Start:
    conf = "{spark.executor.memory: 512m, spark.executor.extraJavaOptions: -XX:+UseSerialGC}"
    settings = ["--set", f"spark.master={cluster.url}", "--set", f"spark.conf={conf}"]
    return Start([*command(corpus, output), *settings], Path(f"{output}.work"), output.with_suffix(".log"))


def kill_executor_when(started: Start, cluster: StandaloneCluster, pattern: str) -> int:
    """Wait for files of the run, then kill the oldest executor at once; returns its process id."""
    deadline = time.monotonic() + 1200
    while not (started.files(pattern) and cluster.executors()):
        assert started.running, f"{pattern} was never seen:\n{started.output}"
        assert time.monotonic() < deadline, started.output
        time.sleep(0.002)
    victim = cluster.executors()[0]
    os.kill(victim.pid, signal.SIGKILL)
    return int(victim.pid)


def test_an_executor_killed_in_every_spark_stage_changes_no_row(
    cluster: StandaloneCluster, corpus: Path, calm_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    disturbed = start(corpus, output, cluster)
    killed = [kill_executor_when(disturbed, cluster, pattern) for pattern in MOMENTS.values()]
    assert disturbed.process.wait(timeout=1200) == 0, disturbed.output
    assert len(set(killed)) == len(MOMENTS)
    assert read_rows(output) == calm_rows
    assert "Traceback" not in disturbed.output
    assert disturbed.leave_behind() == []
