"""A Spark stage can be watched while it runs, from its run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.scripted import complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.reporting.live import SparkWatch
from uniner_dist.run.run import Run
from uniner_dist.spark.stage import describe, stage
from uniner_dist.storage.filesystem import read_json

pytestmark = pytest.mark.spark


def test_the_tasks_of_a_running_job_are_seen_under_its_name(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "progress.json"

    def wait_until_seen(numbers: Iterable[int]) -> Iterable[int]:
        deadline = time.monotonic() + 1200
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return numbers

    with stage(spark, "prompts"), SparkWatch(spark, "prompts", str(path)):
        describe(spark, "wait to be seen")
        assert spark.sparkContext.parallelize(range(4), 4).mapPartitions(wait_until_seen).count() == 4
    state = read_json(str(path))
    assert (state["stage"], state["step"], state["tasks"]) == ("prompts", "wait to be seen", 4)
    assert 0 <= state["tasks_done"] <= 4


def test_every_job_of_the_stages_has_a_name_and_a_group_in_sparks_ui(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    store = spark.sparkContext._jsc.sc().statusStore()  # what Spark's UI and its REST API show

    def jobs() -> dict[int, tuple[str | None, str | None]]:
        """Job → its group and its name."""
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
        listed = store.jobsList(None)
        found = [listed.apply(number) for number in range(listed.size())]
        return {job.jobId(): (_value(job.jobGroup()), _value(job.description())) for job in found}

    before = jobs()
    run = make_run(write_corpus(tmp_path / "corpus", [{"doc_id": i, "text": f"Ada met {i}."} for i in range(3)]))
    write_prompts(spark, run)
    complete(run)
    write_annotations(spark, run)
    publish(spark, run)
    named = [job for number, job in jobs().items() if number not in before]
    assert {group for group, _ in named} == {"uniner-dist prompts", "uniner-dist annotations", "uniner-dist publish"}
    names = {name for _, name in named}
    assert None not in names
    assert {"survey the corpus", "write prompt shards", "write annotations", "audit the annotations"} <= names


def _value(option: Any) -> str | None:
    return str(option.get()) if option.isDefined() else None
