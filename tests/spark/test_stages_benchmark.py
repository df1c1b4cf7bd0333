"""The benchmark of the Spark stages, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from benchmarks.spark_stages.compare import RIVALS, compare, markdown
from benchmarks.spark_stages.workload import TYPES

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(not hasattr(DataFrame, "repartitionById"), reason="the bare jobs need Spark 4.1"),
]


def test_stages_and_bare_jobs_move_the_same_rows(spark: SparkSession, tmp_path: Path) -> None:
    record = compare(spark, tmp_path, prompts=3000, repeats=1, long_words=4000)
    runs = {run["way"]: run for run in record["runs"]}
    assert set(runs) == {*RIVALS, *(rival for rivals in RIVALS.values() for rival in rivals)}
    documents = record["documents"]
    unshuffled, in_shards = (runs[name] for name in RIVALS["prompts"])
    assert unshuffled["rows"] == in_shards["rows"] == runs["annotations"]["rows"] == documents * len(TYPES)
    passages = runs["prompts"]["rows"] // len(TYPES)
    assert 0.9 * documents < passages < documents + 50, "repeats are dropped and one document is split"
    assert (unshuffled["shuffles"], in_shards["shuffles"]) == (0, 1)
    assert in_shards["files"]["files"] == runs["prompts"]["files"]["files"] == record["shards"]["count"]
    [bare] = RIVALS["annotations"]
    assert runs[bare]["shuffles"] == 2
    assert [step["step"] for step in runs["annotations"]["steps"]][-3:] == [
        "write annotations",
        "audit the annotations",
        "write quarantine",
    ]
    for run in record["runs"]:
        assert run["cpu_s"] > 0
        assert sum(step["task_s"] for step in run["steps"]) > 0
    assert markdown(record).count("| prompts / ") == 2
