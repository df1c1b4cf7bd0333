"""A session that somebody else made is used as it is, and left so."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from uniner_dist.spark.stage import settings, stage

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


def test_the_job_group_and_settings_of_the_caller_are_restored(spark: SparkSession) -> None:
    context, key = spark.sparkContext, "spark.sql.shuffle.partitions"
    names = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
    before = str(spark.conf.get(key))
    context.setJobGroup("theirs", "their job", interruptOnCancel=True)
    try:
        with stage(spark, "prompts"):
            assert context.getLocalProperty(names[0]) == "uniner-dist prompts"
        assert [context.getLocalProperty(name) for name in names] == ["theirs", "their job", "true"]
        fixed = {key: "77", "spark.sql.warehouse.dir": "elsewhere"}
        with pytest.raises(AnalysisException), settings(spark, fixed):
            raise AssertionError("a static setting was changed")
        assert spark.conf.get(key) == before
    finally:
        for name in names:
            context.setLocalProperty(name, None)  # type: ignore[arg-type]


_START = """
import sys
from uniner_dist.config.schema import SparkConfig
from uniner_dist.spark.session import get_spark

class Configured:
    spark = SparkConfig(master="local[1]", conf={"spark.driver.extraJavaOptions": sys.argv[1]})

print(get_spark(Configured()).range(3).count())
"""


def test_the_start_of_java_is_silent() -> None:
    started = subprocess.run([sys.executable, "-c", _START, ""], capture_output=True, text=True, check=True)
    assert started.stdout == "3\n"
    assert "incubator" not in started.stderr


def test_what_java_says_when_it_does_not_start_is_passed_on() -> None:
    started = subprocess.run(
        [sys.executable, "-c", _START, "-XX:ParallelGCThreads=some"], capture_output=True, text=True
    )
    assert started.returncode != 0
    assert "Improperly specified VM option" in started.stderr
