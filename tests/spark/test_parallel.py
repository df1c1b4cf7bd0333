"""Pieces of Spark work side by side: results, names of jobs, failures."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from uniner_dist.errors import StageError
from uniner_dist.spark.parallel import run_concurrently
from uniner_dist.spark.stage import describe, stage

pytestmark = pytest.mark.spark


def test_results_come_in_order_and_jobs_have_the_names_of_their_stage(spark: SparkSession) -> None:
    with stage(spark, "prompts"):
        describe(spark, "two sums")
        assert run_concurrently(spark, lambda: spark.range(10).count(), lambda: spark.range(20).count()) == [10, 20]
        describe(spark, "something else")
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    store = spark.sparkContext._jsc.sc().statusStore()
    jobs = [store.job(number) for number in spark.sparkContext.statusTracker().getJobIdsForGroup("uniner-dist prompts")]
    assert len([job for job in jobs if job.description().isDefined() and job.description().get() == "two sums"]) >= 2


def test_first_failure_is_raised_and_the_others_do_not_run_to_their_end(spark: SparkSession) -> None:
    def for_an_hour(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        time.sleep(3600)
        yield from batches

    def fail() -> None:
        time.sleep(1)
        raise StageError("the corpus is gone")

    with pytest.raises(StageError, match="the corpus is gone"), stage(spark, "prompts"):
        run_concurrently(spark, lambda: spark.range(1).mapInArrow(for_an_hour, "id long").collect(), fail)
    assert spark.range(5).count() == 5
