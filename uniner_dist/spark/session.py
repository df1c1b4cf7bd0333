"""The Spark session, and the few things about Spark that both Spark stages share.

Enters: the configuration, paths, Arrow schemas. Leaves: a session (the cluster's own under spark-submit, else a quiet
local one), paths and schemas as Spark spells them, and one readable error for what Spark throws. Never touches data.
Works with Spark 3.5 to 4.x.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import (
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

from uniner_dist import errors
from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import StageError, UninerError
from uniner_dist.runtime.orphans import marked
from uniner_dist.storage.filesystem import is_local, open_fs

#: Settings that a stage needs; applied for its time only, so that a shared session stays as it was.
STAGE_SETTINGS: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    # The vectorised reader holds a batch of rows at once and fails above 2 GB: 4,096 texts of 600 kB are too many.
    "spark.sql.parquet.columnarReaderBatchSize": "256",
    # Sizes of compressed files say little: 10 million answers took 3 MB on disk and did not fit a broadcast. What is
    # known to be small is broadcast by name.
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "-1",
    # Several corpora have files whose schemas differ in unused columns: only the columns we name are ever compared.
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.sources.partitionOverwriteMode": "static",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.caseSensitive": "false",
}

#: For rows with lists and without long texts that go to Python: Spark 4 measures its batch after each row, which takes
#: time with the square of the batch where there are lists (0.8 of a compaction). The number of rows still bounds it.
LISTS_IN_ARROW: Mapping[str, str] = {"spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1)}

_QUICK_JAVA = " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

_UNSIGNED: Mapping[Any, DataType] = {
    pa.uint8(): ShortType(),
    pa.uint16(): IntegerType(),
    pa.uint32(): LongType(),
    pa.uint64(): DecimalType(20, 0),
}


#: A corpus below this size is done before Java's optimising compiler has paid for itself: on 1,390 texts both stages
#: took 18 s of CPU without it and 36 s with it (2 cores).
QUICK_BYTES = 64 << 20


class HasSpark(Protocol):
    """Any configuration with a section for Spark."""

    @property
    def spark(self) -> SparkConfig:
        """Master and further properties."""


def get_spark(config: HasSpark, quick: bool = False) -> SparkSession:
    """The session to work in: what spark-submit or a notebook already has, else a local one of our own.

    Args:
        quick: a local session starts and warms up in half the time, but is slower on much data.
    """
    running = _running()
    if running is not None:
        return running
    builder: Any = SparkSession.builder.appName("uniner-dist")
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        if _is_here(config.spark.master):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(config.spark.master)
        for key, value in {**local_settings(config.spark.master, quick), **config.spark.conf}.items():
            builder = builder.config(key, value)
    with marked():
        session: SparkSession = builder.getOrCreate()
    return session


@contextmanager
def spark_session(config: HasSpark, quick: bool = False) -> Iterator[SparkSession]:
    """`get_spark` for the length of a stage; a session that was there before stays, one that we start is stopped."""
    ours = _running() is None and "PYSPARK_GATEWAY_PORT" not in os.environ
    session = get_spark(config, quick)
    try:
        yield session
    finally:
        if ours:
            session.stop()


def _running() -> SparkSession | None:
    """The session of this process, if any.

    The "active" one belongs to a thread of the JVM, and a Ctrl-C that breaks a call of Spark's costs that thread.
    """
    active = SparkSession.getActiveSession()
    if active is not None or SparkContext._active_spark_context is None:
        return active
    session: SparkSession = SparkSession.builder.getOrCreate()
    return session


def _is_here(master: str) -> bool:
    """Whether all executors are on this machine; those of another one must reach the driver by its real address."""
    return re.match(r"local\b|spark://(127\.0\.0\.1|localhost):", master) is not None


def local_settings(master: str, quick: bool = False) -> dict[str, str]:
    """Properties of a session that we start ourselves: loopback only unless the master is elsewhere, quiet, small."""
    quiet = Path(__file__).with_name("log4j2.properties")
    loopback = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"} if _is_here(master) else {}
    return {
        **loopback,
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet.as_uri()}" + _QUICK_JAVA * quick,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Without a UI nobody reads how plans are explained, or which line of ours made a column of them.
        "spark.sql.ui.explainMode": "simple",
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.shuffle.partitions": str(4 * (os.cpu_count() or 2)),
        # Both stages need some hundred generated classes, as many as Spark remembers: the next run in the session would
        # find none of them, and Java would compile and optimise all of them again.
        "spark.sql.codegen.cache.maxEntries": "1000",
        # A local session knows its machine by two names, 127.0.0.1 and localhost: tasks behind a shuffle take the place
        # they prefer for another machine, and begin after all others of their stage, such as those that split texts.
        "spark.shuffle.reduceLocality.enabled": str(not master.startswith("local")).lower(),
        "spark.sql.warehouse.dir": os.path.join(tempfile.gettempdir(), "uniner-dist-warehouse"),
    }


def spark_path(path: str) -> str:
    """A literal path as Spark wants it: local paths as `file:` URLs (a cluster's default may be HDFS), `s3://` as is.

    Spark expands wildcards in whatever it reads, so those of the path itself are escaped.
    """
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}\[\]*?])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def spark_glob(path: str) -> str:
    """Like `spark_path` for a path whose `*`, `?` and `[…]` are meant as wildcards."""
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def write_path(path: str) -> str:
    """A path to write to or to count partition folders from (`basePath`): nothing in it is a wildcard to Spark."""
    fs, stripped = open_fs(path)
    return _as_url(stripped) if is_local(fs) else path


def _as_url(path: str) -> str:
    return "file://" + path


def spark_type(kind: pa.DataType) -> DataType:
    """The Spark type that Spark's own reader gives a Parquet column of this Arrow type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        return StringType()
    unsigned = _UNSIGNED.get(kind)
    return unsigned if unsigned is not None else from_arrow_type(kind, prefer_timestamp_ntz=True)


def spark_schema(schema: pa.Schema) -> StructType:
    """One of `uniner_dist.schemas`, as Spark's."""
    return StructType([StructField(field.name, spark_type(field.type), field.nullable) for field in schema])


def column(name: str) -> Column:
    """A column by its exact name, whatever signs are in it."""
    return F.col("`" + name.replace("`", "``") + "`")


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Set SQL properties of a session for a while, and put back what was there."""
    before = {key: spark.conf.get(key, None) for key in values}
    for key, value in values.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@contextmanager
def stage(spark: SparkSession, name: str) -> Iterator[None]:
    """Run a stage: its settings, its job group, and its errors in words.

    Raises:
        UninerError: raised inside a Python worker, passed on as itself.
        StageError: anything else that Spark throws, with the file or row at fault when Spark names it.
    """
    spark.sparkContext.setJobGroup(f"uniner-dist {name}", name)
    logger = logging.getLogger("DataFrameQueryContextLogger")  # prints every failure as JSON before it is raised
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with settings(spark, STAGE_SETTINGS), _this_python(spark):
            yield
    except UninerError:
        raise
    except Exception as error:  # pyspark and py4j throw dozens of kinds: each becomes one message with its cause kept
        if not _from_spark(error):
            raise
        raise explain(error, name) from error
    finally:
        logger.setLevel(level)
        _quietly_clear(spark)


@contextmanager
def _this_python(spark: SparkSession) -> Iterator[None]:
    """Tasks on this machine run with this interpreter, not with the first `python3` of the path, which may lack us.

    Where somebody chose one (PYSPARK_PYTHON, which spark-submit sets too) that stays.
    """
    context: Any = spark.sparkContext
    before = context.pythonExec
    if re.match(r"local\b", context.master) and "PYSPARK_PYTHON" not in os.environ:
        context.pythonExec = sys.executable
    try:
        yield
    finally:
        context.pythonExec = before


def describe(spark: SparkSession, text: str) -> None:
    """Name the next jobs in Spark's UI and logs, and for whoever watches (see `described`)."""
    spark.sparkContext.setJobDescription(text)
    _described[spark.sparkContext.applicationId] = text


def described(application: str) -> str | None:
    """The name that the jobs of a Spark application had last, if this process gave one."""
    return _described.get(application)


_described: dict[str, str] = {}


def explain(error: Exception, name: str) -> UninerError:
    """What a Spark exception means, in one message without a stack trace."""
    text = str(error)
    own = re.findall(r"uniner_dist\.(?:[a-z_]+\.)+(\w+Error): (.*)", text)
    if own:
        kind, message = own[-1]
        return _own_error(kind, message.strip())
    file = re.search(r"(?:file|path):? +((?:file|s3a?|gs|hdfs|abfss?):[^\s,]+)", text)
    cause = _cause(text)
    module = re.search(r"ModuleNotFoundError: No module named '([^']+)'", text)
    if "conflicting directory structures" in text.lower():
        return StageError(
            f"{name}: below the corpus's path stand the partition folders of several datasets; give the folder of one"
        )
    if module:
        return StageError(
            f"{name}: the Python of Spark's workers has no {module.group(1)}: start Spark with PYSPARK_PYTHON="
            f"{sys.executable} (or the like, where its machines are others), or pack what they need (docs/clusters.md)"
        )
    if file:
        return StageError(
            f"{name}: {file.group(1).rstrip('.')} cannot be read ({cause}); repair or remove this file and start again"
        )
    if "OutOfMemoryError" in text:
        return StageError(
            f"{name}: Spark ran out of memory ({cause}); give it more by --set spark.conf or spark-submit"
        )
    if "No space left on device" in text:
        return StageError(f"{name}: no space left on device; free some and start the same command again")
    return StageError(f"{name}: Spark failed: {cause}; the same command resumes")


def _own_error(kind: str, message: str) -> UninerError:
    known = getattr(errors, kind, StageError)
    if isinstance(known, type) and issubclass(known, UninerError):
        return known(message)
    return StageError(message)


def _cause(text: str) -> str:
    """The deepest `Caused by` line, or Spark's own error class and its sentence, at most 300 characters."""
    python = re.findall(r"^[\w.]*(?:Error|Exception): .*$", text, re.MULTILINE) if "Traceback (most" in text else []
    causes = python or re.findall(r"^Caused by: (?:[\w.$]+\.)?(.*)$", text, re.MULTILINE)
    line = causes[-1] if causes else next((line for line in text.splitlines() if line.strip()), "no message")
    return line.strip()[:300].rstrip(".")


def _from_spark(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in ("pyspark", "py4j")


def _quietly_clear(spark: SparkSession) -> None:
    """Take our job group off the session; a JVM that has died has none."""
    try:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        spark.sparkContext.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]
    except Exception as error:
        if not _from_spark(error) and not isinstance(error, OSError):
            raise
