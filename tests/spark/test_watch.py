"""A Spark stage can be watched while it runs, from its run's folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from uniner_dist.live import SparkWatch
from uniner_dist.spark import describe, stage
from uniner_dist.storage.filesystem import read_json

pytestmark = pytest.mark.spark


def test_the_tasks_of_a_running_job_are_seen_under_the_name_that_it_was_given(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "progress.json"

    def wait_until_seen(numbers: object) -> object:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return numbers

    with stage(spark, "prompts"), SparkWatch(spark, "prompts", str(path)):
        describe(spark, "wait to be seen")
        assert spark.sparkContext.parallelize(range(4), 4).mapPartitions(wait_until_seen).count() == 4
    state = read_json(str(path))
    assert (state["stage"], state["step"], state["tasks"]) == ("prompts", "wait to be seen", 4)
    assert 0 <= state["tasks_done"] <= 4
