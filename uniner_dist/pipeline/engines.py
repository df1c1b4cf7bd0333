"""Checks that the engines that a command is about to use are installed, before it starts the first of them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Final, Literal

from uniner_dist.cluster.reachable import unreachable
from uniner_dist.completions.engine.quantization import quantization_refusal
from uniner_dist.completions.launch import engine_spec, replica_environment
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.model.form import quantization_files, quantization_method
from uniner_dist.model.source import open_source
from uniner_dist.run.identity import precision
from uniner_dist.runtime import nvidia
from uniner_dist.runtime.compat.spark_internals import context_of_this_process
from uniner_dist.runtime.compat.vllm_sources import known_quantizations
from uniner_dist.runtime.engines import require, require_java

#: Quantizations whose kernels take no float32 (`get_supported_act_dtypes` of each in vLLM's sources).
_HALF_PRECISION: Final = frozenset({"fp8", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "awq", "gptq"})


def require_engines(config: Config, *parts: Literal["spark", "pool", "cluster"]) -> None:
    """Make sure that Spark and Java, or Ray and on a local cluster vLLM and the GPUs asked for, are on this machine.

    Args:
        config: says whether Ray is local, and how many GPUs a replica takes.
        parts: `cluster` means the Ray cluster itself, which a run needs only if it has something to ask.

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
    _check_quantization_name(config.model.quantization)
    if config.ray.address != "local" or config.engine.kind != "vllm":
        return  # replicas on other machines say themselves what they lack
    require("vllm")
    if config.pool.gpus_per_replica:
        _check_gpus(config.pool.gpus_per_replica)
    _check_quantization(config)


def _cluster(config: Config) -> None:
    require("ray")
    refused = unreachable(config.ray.address)
    if refused is not None:
        raise ConfigError(
            f"ray.address {refused}: start the cluster, or check host, port and firewall; --set ray.address=local "
            "runs on this machine"
        )


def _check_quantization_name(name: str | None) -> None:
    """Refuse a name that vLLM does not know before vLLM is started, wherever the replicas are to run."""
    known = known_quantizations()
    if name is None or not known or name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known)}"
    raise ConfigError(f"model.quantization: vLLM knows none that is called {name!r}; {hint}")


def _check_quantization(config: Config) -> None:
    """Check that the vLLM of this machine, where the replicas are to run, supports the quantization of the weights.

    Weights that are not quantized are not checked: importing vLLM takes seconds.
    """
    source = open_source(config.model)
    method = quantization_method(source, config.model.quantization)
    if method is None:
        return
    if method.lower() in _HALF_PRECISION and precision(config) == "float32":
        raise ConfigError(
            f"{source.title}: vLLM runs weights that are quantized by {method} in bfloat16 or float16 only, and "
            "model.dtype means float32 here: leave model.quantization out, or use --set model.dtype=bfloat16"
        )
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
    return "pyspark" in sys.modules and context_of_this_process() is not None


_CHECKS: Final[Mapping[str, Callable[[Config], None]]] = {
    "spark": _spark,
    "pool": _pool,
    "cluster": _cluster,
}
