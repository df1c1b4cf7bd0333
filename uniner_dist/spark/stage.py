"""A stage in a Spark session: temporary settings, named jobs, and readable errors."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from uniner_dist.errors import UninerError
from uniner_dist.spark.explain import explain, is_from_spark

log = logging.getLogger(__name__)

#: Settings that a stage needs; applied during it only, so that a shared session is left unchanged.
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
    # Timestamps are written as all readers read them, and none is moved to an old calendar on the way.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.legacy.parquet.nanosAsLong": "false",
}

#: For rows with lists and without long texts that go to Python: Spark 4 measures its batch after each row, which takes
#: time with the square of the batch where there are lists (0.8 of a compaction). The number of rows still bounds it.
LISTS_IN_ARROW: Mapping[str, str] = {"spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1)}

#: Local properties that `setJobGroup` sets.
_JOB_GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Set SQL properties of a session during a block, and restore the previous ones.

    Args:
        spark: session whose run-time properties are set.
        values: name → value.

    Yields:
        Nothing; the properties are set during the block.
    """
    before = {key: spark.conf.get(key, None) for key in values}
    try:
        for key, value in values.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@contextmanager
def stage(spark: SparkSession, name: str) -> Iterator[None]:
    """Run a stage with its settings and job group, and convert its errors to messages.

    Args:
        spark: session of the stage; its properties and the thread's job group are restored after the block.
        name: of the stage, such as `prompts`: its job group is `uniner-dist NAME`, and messages begin with it.

    Yields:
        Nothing; `STAGE_SETTINGS` are set during the block.

    Raises:
        UninerError: raised inside a Python worker, passed on as itself.
        StageError: anything else that Spark throws, with the file or row at fault when Spark names it.
    """
    group = {key: spark.sparkContext.getLocalProperty(key) for key in _JOB_GROUP}
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
        if not is_from_spark(error):
            raise
        raise explain(error, name) from error
    finally:
        logger.setLevel(level)
        _quietly_restore(spark, group)


@contextmanager
def _this_python(spark: SparkSession) -> Iterator[None]:
    """Run tasks on this machine with this interpreter: the first `python3` of the path may lack this package.

    An interpreter that is set already (PYSPARK_PYTHON, also by spark-submit) is kept.
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
    """Name the next jobs in Spark's UI and logs, and for progress displays (see `described`).

    Args:
        spark: session whose jobs are named, as far as the calling thread starts them.
        text: the name, such as "write prompt shards".
    """
    log.debug("Spark: %s", text)
    spark.sparkContext.setJobDescription(text)
    _described[spark.sparkContext.applicationId] = text


def described(application: str) -> str | None:
    """Return the name that `describe` gave last in this process to jobs of a Spark application, or None.

    Args:
        application: Spark's application id.
    """
    return _described.get(application)


_described: dict[str, str] = {}


def _quietly_restore(spark: SparkSession, group: Mapping[str, str | None]) -> None:
    """Restore the job group that was set before ours; a JVM that has died has none."""
    try:
        for key, value in group.items():
            spark.sparkContext.setLocalProperty(key, value)  # type: ignore[arg-type]
    except Exception as error:
        if not is_from_spark(error) and not isinstance(error, OSError):
            raise
