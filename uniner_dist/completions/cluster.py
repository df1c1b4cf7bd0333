"""How to get a Ray cluster: start one on this machine, or join the one that is there.

A cluster that we start listens on loopback, uses token authentication, sends no usage statistics, and is stopped when
the `with` block ends. A cluster that was there before is left as it was.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uniner_dist.config import RayConfig
from uniner_dist.errors import StageError


@contextmanager
def ray_cluster(config: RayConfig) -> Iterator[Any]:
    """The `ray` module, connected.

    Raises:
        StageError: the cluster cannot be reached or refuses us.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A CPU replica must not be given all GPUs of a machine, nor lose sight of the ones it has.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if config.address == "local":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    if ray.is_initialized():
        yield ray
        return
    _connect(ray, config)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, config: RayConfig) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "uniner-dist"}
    if config.address == "local":
        options |= {"include_dashboard": False, "num_cpus": config.num_cpus, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address=config.address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise StageError(f"ray.address {config.address}: {error}") from error
