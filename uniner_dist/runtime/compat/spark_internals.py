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


def java_array(spark: Any, kind: Any, values: Sequence[Any]) -> Any:
    """An array of Java's, for a method of a classic session's process that takes any number of values.

    Args:
        spark: a classic session.
        kind: the class of the values, such as `java_of(spark).java.lang.String`.
        values: what is in the array.
    """
    array = spark.sparkContext._gateway.new_array(kind, len(values))
    for place, value in enumerate(values):
        array[place] = value
    return array


def java_strings(spark: Any, values: Sequence[str]) -> Any:
    """An array of Java's strings."""
    return java_array(spark, java_of(spark).java.lang.String, values)


def scala_sequence(spark: Any, values: Sequence[Any]) -> Any:
    """A sequence of Scala's, of objects of a classic session's process."""
    return java_of(spark).PythonUtils.toSeq(list(values))


def is_java(spark: Any, value: Any, name: str) -> bool:
    """Whether an object of a classic session's process is of a class that may not be there."""
    from py4j.java_gateway import is_instance_of
    from py4j.protocol import Py4JError

    try:
        return bool(is_instance_of(spark.sparkContext._gateway, value, name))
    except Py4JError:  # there is no such class
        return False


def python_frame(spark: Any, frame: Any) -> Any:
    """A data frame of a classic session's process, as Python's."""
    from pyspark.sql import DataFrame

    return DataFrame(frame, spark)


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
