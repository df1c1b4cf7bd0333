"""A session that somebody else made is used as it is, and left so."""

from __future__ import annotations

import subprocess
import sys

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
