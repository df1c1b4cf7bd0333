"""A Ray cluster on the executors of a Spark cluster: `ray.address: spark`.

Calls `ray.util.spark.setup_ray_cluster` and yields the address of a head node on the driver's machine. Its workers are
tasks of a Spark job that lasts as long as the `with` block; Spark does nothing else meanwhile. This module is the only
one of the Ray stage that imports pyspark, and only this address imports it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

from pyspark.sql import SparkSession
from ray.util.spark import MAX_NUM_WORKER_NODES, setup_ray_cluster, shutdown_ray_cluster
from ray.util.spark.cluster_init import RayOnSparkStartHook

from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import StageError
from uniner_dist.runtime.compat.ray_internals import SPARK_CLUSTER_LOGGERS
from uniner_dist.runtime.orphans import tag_children
from uniner_dist.runtime.signals import signal_handlers, uninterrupted
from uniner_dist.spark.session import spark_session

#: Defaults for Ray. No payload passes through the object store, so replicas get the memory.
_DEFAULTS: Mapping[str, object] = {
    "max_worker_nodes": MAX_NUM_WORKER_NODES,
    "object_store_memory_worker_node": 2**28,
    "object_store_memory_head_node": 2**28,
    "head_node_options": {"include_dashboard": False},
}


class NodeEnvironment(RayOnSparkStartHook):  # type: ignore[misc]
    """Environment of head and worker nodes, which is passed inside their Spark tasks, not by configuration."""

    def __init__(self) -> None:
        super().__init__(is_global=False)

    def custom_environment_variables(self) -> dict[str, str]:
        """Return the nodes' variables; Ray calls this. The token lets them join, and the PATH has `ray` on it."""
        kept = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED")
        return {"PATH": _search_path(), **{name: os.environ[name] for name in kept}}


def _search_path() -> str:
    """The executors' own PATH, with the folders of their interpreter and of ours: nodes start by calling `ray`."""

    def there(_: int) -> list[str]:  # inside, so that it is pickled whole: the executors need not have this module
        return [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]

    found = SparkSession.builder.getOrCreate().sparkContext.parallelize([0], 1).map(there).first()
    return os.pathsep.join([*found, os.path.dirname(sys.executable)])


@dataclass(frozen=True)
class _Session:
    """The settings that `spark_session` takes."""

    spark: SparkConfig


@contextmanager
def ray_on_spark(spark: SparkConfig, options: Mapping[str, object]) -> Iterator[str]:
    """Start a Ray cluster on Spark's executors, and stop it when the block ends.

    Args:
        spark: settings of the session on whose executors Ray's workers are started.
        options: further arguments of `setup_ray_cluster`; they win over the defaults of this module.

    Yields:
        The `host:port` of its head, which runs on the driver's machine.

    Raises:
        StageError: the executors have no room for it, or the options do not fit.
    """
    os.environ.setdefault("RAY_ON_SPARK_START_HOOK", f"{__name__}.{NodeEnvironment.__name__}")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    for talkative in SPARK_CLUSTER_LOGGERS:
        logging.getLogger(talkative).setLevel(logging.ERROR)
    # Ray copies the output of `ray start` to our stdout, which carries results only; errors contain it as well.
    with spark_session(_Session(spark)), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        # Ray sets a handler of its own for SIGTERM, which would keep ours from draining.
        try:
            with tag_children(), uninterrupted(), signal_handlers():
                setup_ray_cluster(**{**_DEFAULTS, **options})
        except (RuntimeError, ValueError, TypeError) as error:
            raise StageError(f"ray.address spark: {error}") from error
        try:
            yield os.environ["RAY_ADDRESS"]
        finally:
            shutdown_ray_cluster()
