"""vLLM's engine below its class `LLM`: how one is made, called, and shut down. Importing this does not import vllm.

`LLM` tokenises, waits for whole batches and shows its own progress. Interfaces below it are not promised to stay: each
name that is used here is looked up by `tests/unit/test_vllm_interfaces.py`, which says what a release has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def vllm_version() -> str:
    """Return the version of the vLLM that this process imports."""
    import vllm

    version: str = vllm.__version__
    return version


def start_engine(arguments: Mapping[str, object], metrics: bool, adjust: Callable[[Any], None] | None = None) -> Any:
    """Load a model into an `LLMEngine` of this process.

    vLLM's batch sizes are those for offline work, as of its class `LLM`: with 70 GiB of memory and more 1,024 sequences
    and 16,384 tokens a step, on smaller GPUs 256 and 8,192, on CPU 256 and 4,096.

    Args:
        arguments: of `vllm.EngineArgs`, by name.
        metrics: whether vLLM's own metrics are exported through Ray's.
        adjust: changes the finished `VllmConfig` in place, before memory is reserved; None to change nothing.

    Returns:
        The engine, ready for requests.

    Raises:
        Exception: vLLM's or torch's own, where the model cannot be loaded.
    """
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    engine_args = parsed_arguments(arguments)
    config = engine_args.create_engine_config(UsageContext.LLM_CLASS)
    if adjust is not None:
        adjust(config)
    return LLMEngine.from_vllm_config(
        config,
        usage_context=UsageContext.LLM_CLASS,
        stat_loggers=_stat_loggers() if metrics else None,
        disable_log_stats=engine_args.disable_log_stats,
    )


def greedy_params(max_tokens: int, stop_token_ids: Sequence[int], scores: bool) -> Any:
    """Return `SamplingParams` of greedy decoding whose outputs are token ids, once, when the answer is finished.

    Args:
        max_tokens: the most tokens of an answer.
        stop_token_ids: tokens that end an answer.
        scores: whether each token's log-probability is returned.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=max_tokens,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        logprobs=0 if scores else None,
        # Otherwise vLLM deep-copies them for each request: 0.038 ms instead of 0.001. All that it does to a copy of
        # these is to note what ends a turn, which is the same for every request.
        skip_clone=True,
        stop_token_ids=list(stop_token_ids),
    )


def unfinished_tokens(engine: Any) -> int:
    """Return the number of tokens of all unfinished answers that vLLM's front end has received.

    Args:
        engine: an `LLMEngine`.
    """
    states = list(engine.output_processor.request_states.values())
    return sum(state.detokenizer.num_output_tokens() for state in states if state.detokenizer is not None)


def stop_engine(engine: Any) -> None:
    """Shut the engine core and its processes down.

    Args:
        engine: an `LLMEngine`; it cannot be used afterwards.
    """
    engine.engine_core.shutdown()


def parsed_arguments(arguments: Mapping[str, object]) -> Any:
    """Return arguments as vLLM's `EngineArgs`.

    Args:
        arguments: of `vllm.EngineArgs`, by name.

    Raises:
        TypeError: vLLM knows no argument of such a name.
    """
    from vllm import EngineArgs

    return EngineArgs(**arguments)


def quantization_of(engine_args: Any) -> Any:
    """Have vLLM read how a model's weights are quantized, as it does before it loads them.

    Args:
        engine_args: vLLM's `EngineArgs`, which name the model.

    Returns:
        vLLM's `QuantizationConfig`; None where the weights are not quantized.

    Raises:
        ValueError, TypeError, ImportError, NotImplementedError, KeyError: vLLM does not load such weights here.
    """
    from vllm.config import VllmConfig

    return VllmConfig.get_quantization_config(engine_args.create_model_config(), engine_args.create_load_config())


def reserve_gpu_memory(vllm_config: Any, size: int) -> None:
    """Reduce vLLM's share of the GPU's memory, for what a connector keeps in addition to the cache.

    Args:
        vllm_config: vLLM's `VllmConfig`, which is changed in place.
        size: bytes to reserve on each GPU.
    """
    from vllm.platforms import current_platform

    vllm_config.cache_config.gpu_memory_utilization -= size / current_platform.get_device_total_memory()


def connector_config(name: str, module: str) -> Any:
    """Return the engine's argument `kv_transfer_config` that has vLLM import a KV connector.

    Args:
        name: the connector's class.
        module: full name of the module that has the class.
    """
    from vllm.config import KVTransferConfig

    return KVTransferConfig(kv_connector=name, kv_connector_module_path=module, kv_role="kv_both")


def _stat_loggers() -> list[Any]:
    """vLLM's own metrics, exported through Ray's."""
    from ray.util import metrics
    from vllm.v1.metrics import ray_wrappers

    # The module imports Ray's metrics and Ray Serve in one `try`, and has neither where only Serve is missing.
    ray_wrappers.ray_metrics = metrics
    return [ray_wrappers.RayPrometheusStatLogger]
