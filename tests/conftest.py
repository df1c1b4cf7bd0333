"""One Spark session and one Ray cluster for all tests that need them, started when the first one does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A machine that is busy elsewhere is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

if os.environ.get("RECORD_MESSAGES"):
    from tests.support.messages import record

    record(Path(os.environ["RECORD_MESSAGES"]))


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A small local session; stages and whole jobs that run in this process work in it."""
    from uniner_dist.config.loading import load_config
    from uniner_dist.spark.session import get_spark

    options: dict[str, Any] = {"corpus.path": "-", "output.path": "-", "types": "person", "spark.master": "local[2]"}
    options["spark.conf"] = {"spark.sql.shuffle.partitions": "2"}
    jars = [os.environ[name] for name in ("DELTA_JARS", "ICEBERG_JARS") if os.environ.get(name)]
    if jars:  # of connectors that fit this Spark; Spark's version decides which
        options["spark.conf"]["spark.jars"] = ",".join(jars)
    if os.environ.get("DELTA_JARS"):
        options["spark.conf"] |= {
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.databricks.delta.snapshotPartitions": "2",
        }
    session = get_spark(load_config(None, [], options), quick=True)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """Two cores' worth of logical CPUs; more actors than cores are allowed by asking for fractions."""
    from uniner_dist.cluster.connect import ray_cluster
    from uniner_dist.config.schema import RayConfig

    with ray_cluster(RayConfig(num_cpus=2)) as module:
        yield module
