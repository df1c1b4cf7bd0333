"""The Spark session: the cluster's own under spark-submit, else a quiet local one. Works with Spark 3.5 to 4.x."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pyspark import SparkConf
from pyspark.sql import SparkSession

from uniner_dist.config.schema import SparkConfig
from uniner_dist.runtime.compat.spark_internals import context_of_this_process
from uniner_dist.runtime.orphans import tag_children
from uniner_dist.spark.gateway import start_java

_QUICK_JAVA = " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

#: A corpus below this size is done before Java's optimising compiler has paid for itself: on 1,390 texts both stages
#: took 18 s of CPU without it and 36 s with it (2 cores).
QUICK_BYTES = 64 << 20


class HasSpark(Protocol):
    """A configuration with a section for Spark, such as the run's."""

    @property
    def spark(self) -> SparkConfig:
        """Master and further properties."""


def get_spark(config: HasSpark, quick: bool = False) -> SparkSession:
    """Return the session to work in: the running one of spark-submit or a notebook, else a local one that is started.

    Args:
        config: master, memory and further options of a session that is started here; ignored where one is running, and
            under spark-submit.
        quick: a local session starts and warms up in half the time, but is slower on much data (see `QUICK_BYTES`).

    Raises:
        Exception: as pyspark raises it where Java does not start.
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
        properties = {**local_settings(config.spark.master, quick), **config.spark.conf}
        for key, value in properties.items():
            builder = builder.config(key, value)
        with tag_children():
            start_java(SparkConf().setMaster(config.spark.master).setAll(list(properties.items())))
    with tag_children():
        session: SparkSession = builder.getOrCreate()
    return session


@contextmanager
def spark_session(config: HasSpark, quick: bool = False) -> Iterator[SparkSession]:
    """Yield a session for the length of a block; see `get_spark`.

    Args:
        config: see `get_spark`.
        quick: a local session starts and warms up in half the time, but is slower on much data (see `QUICK_BYTES`).

    Yields:
        The session. One that was running before, or is spark-submit's, stays; one that was started here is stopped
        after the block.
    """
    ours = _running() is None and "PYSPARK_GATEWAY_PORT" not in os.environ
    session = get_spark(config, quick)
    try:
        yield session
    finally:
        if ours:
            session.stop()


def _running() -> SparkSession | None:
    """The session of this process, if any.

    The "active" one belongs to a thread of the JVM, and a Ctrl-C that breaks a call of Spark's ends that thread.
    """
    active = SparkSession.getActiveSession()
    if active is not None or context_of_this_process() is None:
        return active
    session: SparkSession = SparkSession.builder.getOrCreate()
    return session


def _is_here(master: str) -> bool:
    """Whether all executors are on this machine; those of another machine must reach the driver by its real address."""
    return re.match(r"local\b|spark://(127\.0\.0\.1|localhost):", master) is not None


@cache
def _warehouse() -> str:
    """An empty folder with an unpredictable name, removed with this process."""
    folder = tempfile.mkdtemp(prefix="uniner-dist-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def local_settings(master: str, quick: bool = False) -> dict[str, str]:
    """Return the properties of a session that is started here: quiet, small, on loopback unless the master is remote.

    Args:
        master: Spark's master URL, such as `local[*]`.
        quick: whether Java compiles little and collects garbage serially, which pays on less than `QUICK_BYTES`.

    Returns:
        Name → value; the user's own properties override them.
    """
    quiet = Path(__file__).with_name("log4j2.properties")
    loopback = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"} if _is_here(master) else {}
    return {
        **loopback,
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet.as_uri()}" + _QUICK_JAVA * quick,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Without a UI nobody reads explained plans, or from which line of code a column of them comes.
        "spark.sql.ui.explainMode": "simple",
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.shuffle.partitions": str(4 * (os.cpu_count() or 2)),
        # Both stages need some hundred generated classes, as many as Spark remembers: the next run in the session would
        # find none of them, and Java would compile and optimise all of them again.
        "spark.sql.codegen.cache.maxEntries": "1000",
        # A local session knows its machine by two names, 127.0.0.1 and localhost: tasks after a shuffle would take
        # their preferred location for another machine, and start after all other tasks of their stage, such as those
        # that split texts.
        "spark.shuffle.reduceLocality.enabled": str(not master.startswith("local")).lower(),
        "spark.sql.warehouse.dir": _warehouse(),
        # Spark makes a secret of its own for a local session; with another master the cluster's settings decide.
        **({"spark.authenticate": "true"} if master.startswith("local") else {}),
    }
