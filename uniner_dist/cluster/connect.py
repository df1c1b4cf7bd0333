"""Access to a Ray cluster: start one on this machine or on Spark's executors, or join one that exists.

A cluster that we start uses token authentication, sends no usage statistics, and is stopped when the `with` block ends,
or by `uniner_dist.runtime.orphans` when the command is killed; one on this machine listens on loopback only. A cluster
that existed before is left as it was, and its workers get this project from here. A cluster that dies while it is used
ends the command with the exit code of a `StageError`, where Ray by itself would hang, or end the process with code 1.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from uniner_dist.cluster.reachable import unreachable
from uniner_dist.cluster.watch import ClusterWatch
from uniner_dist.config.schema import RayConfig, SparkConfig
from uniner_dist.errors import DrainedError, StageError
from uniner_dist.runtime.compat.ray_internals import environment_read_again
from uniner_dist.runtime.compat.ray_processes import safe_spawning
from uniner_dist.runtime.compat.signal_handlers import own_handlers
from uniner_dist.runtime.orphans import tag_children
from uniner_dist.runtime.signals import signal_handlers, uninterrupted

#: Environment of a cluster of our own while it starts.
_LOCAL: Mapping[str, str] = {
    # Ray's name for "this machine only": gcs, raylet, agents and workers listen on 127.0.0.1 instead of everywhere.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A call to a dead gcs blocks for this long, after which Ray ends the process; `ClusterWatch` is faster.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "45",
}
#: Ray sets this variable in the processes of `ray job submit`; there, the job decides what its workers get.
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
#: This project's folder, which Ray copies to the workers of a cluster that we join: it need not be installed there, and
#: replicas run the same code as the driver.
_PACKAGE = Path(__file__).parents[1]


@contextmanager
def ray_cluster(config: RayConfig, spark: SparkConfig | None = None) -> Iterator[Any]:
    """Connect to a Ray cluster, started here or joined; disconnect, or stop what was started, when the block ends.

    Inside a block (or after `ray.init` of the caller) another one uses the same connection and leaves it open.

    Args:
        config: `address` says whether to start Ray here ("local"), start it on Spark's executors ("spark") or join a
            cluster (`host:port`, `ray://host:port`, or "auto").
        spark: the Spark cluster that `ray.address: spark` is about; None for a session with default settings.

    Yields:
        The `ray` module, connected.

    Raises:
        StageError: the cluster cannot be started or reached, or refuses us.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A CPU replica must not be given all GPUs of a machine, nor lose sight of the ones it has.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = config.address == "local"
    if local or config.address == "spark":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with ExitStack() as around:
        with _environment(_LOCAL if local else {}), tag_children() if local else nullcontext():
            import ray

            if ray.is_initialized():
                yield ray
                return
            around.enter_context(environment_read_again(alone=local))
            address = around.enter_context(_on_spark(config, spark)) if config.address == "spark" else config.address
            watch = ClusterWatch(address)
            try:
                _connect(ray, config, address)
            except BaseException:
                watch.leave()
                raise
        watch.connected(ray)
        try:
            yield ray
        finally:
            watch.leave()


def _on_spark(config: RayConfig, spark: SparkConfig | None) -> AbstractContextManager[str]:
    from uniner_dist.cluster.on_spark import ray_on_spark

    return ray_on_spark(spark or SparkConfig(), config.spark)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; those that are set already stay."""
    added = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _connect(ray: Any, config: RayConfig, address: str) -> None:
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "uniner-dist"}
    if address == "local":
        options |= {"include_dashboard": False, "num_cpus": config.num_cpus, "_node_ip_address": "127.0.0.1"}
        options |= {"_metrics_export_port": config.metrics_port}
    elif _SUBMITTED not in os.environ and _PACKAGE.is_dir():
        options |= {"runtime_env": {"py_modules": [str(_PACKAGE)]}}
    refused = unreachable(address)
    if refused is not None:  # Ray itself would try for more than ten minutes
        raise StageError(f"ray.address {refused}")
    try:
        # Ray's own handlers print a stack trace at SIGTERM and end the process. A cluster that existed before goes on
        # anyhow, so joining it may be interrupted.
        with uninterrupted() if address == "local" else own_handlers(), signal_handlers(), safe_spawning():
            ray.init(address=address, **options)
    except DrainedError:
        raise
    except Exception as error:  # a start that takes too long is a plain Exception
        raise StageError(f"ray.address {config.address}: {_refusal(str(error))}") from error


def _refusal(words: str) -> str:
    """Why a cluster refuses us: Ray's message without its server's stack trace, or ours where versions differ."""
    versions = re.search(r"Version mismatch: .*?" + 2 * r"Ray: (\S+)\s+Python: (\S+).*?", words, re.DOTALL)
    if versions is None:
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        return f"{lines[0]} {lines[-1]}" if "Traceback (most recent call last):" in lines else words
    return (
        "the cluster runs Ray {} on Python {}, and this command Ray {} on Python {}; "
        "both must be the same, to the last digit".format(*versions.groups())
    )
