"""What is used of pyspark's private attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def java_of(spark: Any) -> Any:
    """Return Py4J's view of the session's Java process; None for a session of Spark Connect, which has none here.

    Args:
        spark: any session.
    """
    return getattr(spark, "_jvm", None)


def java_session(spark: Any) -> Any:
    """Return Java's own object of a session, through Py4J.

    Args:
        spark: a classic session.
    """
    return spark._jsparkSession


def java_array(spark: Any, kind: Any, values: Sequence[Any]) -> Any:
    """Return a Java array, for a method of the session's Java process that takes any number of values.

    Args:
        spark: a classic session.
        kind: the class of the values, such as `java_of(spark).java.lang.String`.
        values: elements of the array, in order.
    """
    array = spark.sparkContext._gateway.new_array(kind, len(values))
    for place, value in enumerate(values):
        array[place] = value
    return array


def java_strings(spark: Any, values: Sequence[str]) -> Any:
    """Return a Java array of strings.

    Args:
        spark: a classic session.
        values: elements of the array, in order.
    """
    return java_array(spark, java_of(spark).java.lang.String, values)


def scala_sequence(spark: Any, values: Sequence[Any]) -> Any:
    """Return a Scala sequence, for a method of the session's Java process.

    Args:
        spark: a classic session.
        values: elements of the sequence, in order: objects of that process, or what Py4J converts to one.
    """
    return java_of(spark).PythonUtils.toSeq(list(values))


def is_java(spark: Any, value: Any, name: str) -> bool:
    """Return whether an object is an instance of a Java class or interface; False where there is no such class.

    Args:
        spark: a classic session.
        value: an object of its Java process.
        name: full name of the class, such as `org.apache.spark.sql.delta.catalog.DeltaCatalog`.
    """
    from py4j.java_gateway import is_instance_of
    from py4j.protocol import Py4JError

    try:
        return bool(is_instance_of(spark.sparkContext._gateway, value, name))
    except Py4JError:  # there is no such class
        return False


def python_frame(spark: Any, frame: Any) -> Any:
    """Return a data frame of the session's Java process as pyspark's `DataFrame`.

    Args:
        spark: a classic session.
        frame: Java's `Dataset<Row>`, through Py4J.
    """
    from pyspark.sql import DataFrame

    return DataFrame(frame, spark)


def hadoop_configuration(spark: Any) -> Any:
    """Return Hadoop's configuration of a session, which says for which storages there are connectors.

    Args:
        spark: a classic session.
    """
    return spark.sparkContext._jsc.hadoopConfiguration()


def context_of_this_process() -> Any:
    """Return the running `SparkContext`; None where there is none. `getOrCreate` would start one."""
    from pyspark import SparkContext

    return SparkContext._active_spark_context


def has_gateway() -> bool:
    """Return whether this process has a Java process already."""
    from pyspark import SparkContext

    return SparkContext._gateway is not None


def use_gateway(gateway: Any, conf: Any) -> None:
    """Let the next session of this process use a Java process that is started already.

    Args:
        gateway: Py4J's `JavaGateway` to it, as `launch_gateway` returns it.
        conf: the `SparkConf` that it was started with.
    """
    from pyspark import SparkContext

    context: Any = SparkContext
    context._ensure_initialized(gateway=gateway, conf=conf)
