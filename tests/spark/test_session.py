"""A session that somebody else made is used as it is, and left so."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from uniner_dist.spark.stage import stage

pytestmark = pytest.mark.spark


def test_tasks_of_a_local_session_run_with_this_python_by_default(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "no-such-python")
    with stage(spark, "prompts"):
        assert spark.range(3).mapInArrow(lambda batches: batches, "id long").count() == 3
    assert spark.sparkContext.pythonExec == "no-such-python"
    monkeypatch.setenv("PYSPARK_PYTHON", "chosen")
    with stage(spark, "prompts"):
        assert spark.sparkContext.pythonExec == "no-such-python"
