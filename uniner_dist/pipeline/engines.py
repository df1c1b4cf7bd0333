"""Whether the engines that a command is about to use are here, before it starts the first of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, Literal

from uniner_dist.completions.engine.quantization import quantization_refusal
from uniner_dist.completions.launch import engine_spec, replica_environment
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.model.form import quantization_files, quantization_method
from uniner_dist.model.source import open_source
from uniner_dist.run.identity import precision
from uniner_dist.runtime import nvidia
from uniner_dist.runtime.engines import require, require_java


def require_engines(config: Config, *parts: Literal["spark", "pool"]) -> None:
    """Make sure that Spark and Java, or Ray and on a local cluster vLLM and the GPUs asked for, are on this machine.

    Raises:
        ConfigError: what is missing, and how to get it.
    """
    problems: list[str] = []
    for part in parts:
        try:
            _CHECKS[part](config)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def _spark(config: Config) -> None:
    require("pyspark")
    if not _session_is_running():
        require_java()


def _pool(config: Config) -> None:
    require("ray")
    if config.ray.address != "local":
        return  # replicas run on other machines, which say themselves what they lack
    if config.engine.kind != "vllm":
        return
    require("vllm")
    if config.pool.gpus_per_replica:
        _check_gpus(config.pool.gpus_per_replica)
    _check_quantization(config)


def _check_quantization(config: Config) -> None:
    """The vLLM of this machine, on which the replicas are to run, runs weights that are quantized so.

    It is asked about no others: importing it takes seconds.
    """
    source = open_source(config.model)
    method = quantization_method(source, config.model.quantization)
    if method is None:
        return
    refusal = quantization_refusal(engine_spec(config), quantization_files(source), replica_environment(config))
    if refusal:
        device = "GPUs" if config.pool.gpus_per_replica else "CPU"
        raise ConfigError(
            f"{source.title}: its weights are quantized ({method}), and vLLM does not run them as configured on this "
            f"machine's {device}: {refusal} (model.dtype means {precision(config)} here)"
        )


def _check_gpus(wanted: int) -> None:
    """Ray would wait for GPUs that never come; a driver that is too old would end every replica's start."""
    found = nvidia.count_gpus()
    if found < wanted:
        raise ConfigError(
            f"pool.gpus_per_replica is {wanted}, and this machine has {found or 'no'} GPU{'s' if found > 1 else ''}: "
            "use --set pool.gpus_per_replica=0 to run on CPU, or --set ray.address=auto to join a cluster with GPUs"
        )
    problem = nvidia.gpu_problem()
    if problem:
        raise ConfigError(f"pool.gpus_per_replica is {wanted}: {problem}")


def _session_is_running() -> bool:
    """Whether this process has a Spark session, and with it a JVM."""
    pyspark = sys.modules.get("pyspark")
    return pyspark is not None and pyspark.SparkContext._active_spark_context is not None


_CHECKS: Final[Mapping[str, Callable[[Config], None]]] = {"spark": _spark, "pool": _pool}
