"""What is used of pyspark's private attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def java_of(spark: Any) -> Any:
    """Py4J's view of the session's Java process; None for a session of Spark Connect, which has none here."""
    return getattr(spark, "_jvm", None)


def java_session(spark: Any) -> Any:
    """Java's own object of a classic session."""
    return spark._jsparkSession


def java_strings(spark: Any, values: Sequence[str]) -> Any:
    """An array of Java's strings, for a method of a classic session's process that takes any number of them."""
    gateway = spark.sparkContext._gateway
    array = gateway.new_array(gateway.jvm.java.lang.String, len(values))
    for place, value in enumerate(values):
        array[place] = value
    return array


def hadoop_configuration(spark: Any) -> Any:
    """Hadoop's configuration of a classic session, which says which connectors of storages there are."""
    return spark.sparkContext._jsc.hadoopConfiguration()


def context_of_this_process() -> Any:
    """The running `SparkContext`; None where there is none. `getOrCreate` would start one."""
    from pyspark import SparkContext

    return SparkContext._active_spark_context


def has_gateway() -> bool:
    """Whether this process has a Java process already."""
    from pyspark import SparkContext

    return SparkContext._gateway is not None


def use_gateway(gateway: Any, conf: Any) -> None:
    """Let the next session of this process use a Java process that is started already."""
    from pyspark import SparkContext

    context: Any = SparkContext
    context._ensure_initialized(gateway=gateway, conf=conf)
