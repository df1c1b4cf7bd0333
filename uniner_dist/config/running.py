"""Sections about running: the Ray and Spark clusters, thresholds of success, and the prices of a plan."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import Field, field_validator

from uniner_dist.config.section import Section

#: A Ray cluster by its host and port, by Ray's own protocol or by that of Ray Client.
RAY_HOST: Final = re.compile(r"^(?:ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(\d{1,5})$")


class RayConfig(Section):
    """Which Ray cluster runs the pool."""

    address: str = Field("local", description='"local", "auto", "host:port", "ray://host:port", or "spark"')
    num_cpus: int | None = Field(None, ge=1, description="cores of a local cluster; default: all of this machine")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where a local cluster serves its metrics; default: any free port"
    )
    spark: dict[str, Any] = Field(
        default_factory=dict,
        description='further arguments of ray.util.spark.setup_ray_cluster, for "spark": Ray on Spark\'s executors',
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if address not in ("local", "auto", "spark") and not RAY_HOST.match(address):
            raise ValueError(
                f'{address!r} is none of "local" (this machine), "auto" (the cluster of this machine), "spark", '
                '"host:port" and "ray://host:port"'
            )
        return address


#: Spark's own names of a master, and URLs, as cluster managers can be plugged in (`ExternalClusterManager`).
_MASTER = re.compile(r"(local(\[.+\]|-cluster\[.+\])?|yarn|databricks.*|[a-z][a-z0-9+.-]*://.+)$")


class SparkConfig(Section):
    """Spark session of stages 1 and 3. Under spark-submit the cluster's own settings win."""

    master: str = Field("local[*]", description="master when started without spark-submit")
    conf: dict[str, str] = Field(default_factory=dict, description="further Spark properties")

    @field_validator("master")
    @classmethod
    def _check_master(cls, master: str) -> str:
        if not _MASTER.match(master):
            raise ValueError(
                f'{master!r} is none of "local[*]" (this machine), "spark://host:port", "yarn" and "k8s://https://host"'
            )
        return master


class RunConfig(Section):
    """What counts as success."""

    max_failed_fraction: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of failed annotations above which nothing is published; 1 publishes whatever came out, and "
        "conf/cluster.yaml says 0.05",
    )
    allow_rejects_fraction: float = Field(
        1.0, ge=0, le=1, description="share of rejected corpus rows above which the run stops before anything is asked"
    )
    max_removed_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the corpus's published rows that may go because their document is gone; above it nothing "
        "is published, as the corpus was probably read in the wrong place or half written",
    )
    max_prompts: int | None = Field(
        None, ge=0, description="prompts the run may ask in all; it stops before a shard that would ask more"
    )
    max_gpu_hours: float | None = Field(
        None,
        ge=0,
        description="GPU hours the run may take in all, a CPU replica counting as one GPU; those in flight end",
    )
    scores: bool = Field(False, description="keep log-probabilities and write confidences")


class PlanConfig(Section):
    """What `uniner-dist plan` calculates with."""

    tokens_per_second: float | None = Field(
        None, gt=0, description="prompt tokens one replica answers per second, where no run of the workdir measured it"
    )
    price_per_gpu_hour: float | None = Field(None, ge=0, description="price of one GPU for an hour, in any currency")
