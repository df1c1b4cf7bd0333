"""Range of tested vLLM versions, and features that others do not support. Does not import vllm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: From, and below: the same range is in pyproject.toml (extra `gpu`).
TESTED: Final = ((0, 32), (0, 34))
#: Before, a connector under asynchronous scheduling could stall when the cache was full: vLLM frees the blocks of a
#: finished request a step later, and counted on them at once.
_PREFIX_TAILS_FROM: Final = (0, 30)
#: The proposer of engines on CPU.
LOOKUP: Final = "uniner_dist.completions.engine.lookup.PromptLookup"


def untested(version: str) -> str | None:
    """Return a warning about a vLLM outside of the tested range; None inside of it.

    Args:
        version: vLLM's, such as `0.32.1`; one without two leading numbers counts as 0.0.
    """
    begin, end = TESTED
    if begin <= _release(version) < end:
        return None
    return (
        f"vLLM {version} was not tested with this project "
        f"(from {_format_release(begin)} to below {_format_release(end)} was): its "
        "interfaces for prefix tails (a KV connector), prompt lookup on CPU (a proposer), the end of empty lists (stop "
        "tokens) and engine.metrics may have changed; `make check-vllm` reads the sources of the newest vLLM"
    )


def no_prefix_tails(version: str, on_gpu: bool, environment: Mapping[str, str]) -> str | None:
    """Return a message on why `engine.prefix_tails` cannot be on; None when it can.

    Args:
        version: vLLM's, such as `0.32.1`.
        on_gpu: whether the engine runs on a GPU; the allocator's settings matter only there.
        environment: variables of the engine's process.
    """
    if _release(version) < _PREFIX_TAILS_FROM:
        return (
            f"engine.prefix_tails needs vLLM {_format_release(_PREFIX_TAILS_FROM)} or newer, this is {version}: "
            "older ones may hang when the cache is full. Update vLLM, or set engine.prefix_tails: false"
        )
    if on_gpu and "expandable_segments:True" in environment.get("PYTORCH_CUDA_ALLOC_CONF", ""):
        return (
            "engine.prefix_tails does not work with PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True: vLLM refuses "
            "every KV connector then. Take the variable out of the environment of the Ray workers, or set "
            "engine.prefix_tails: false"
        )
    return None


def check_speculation(on_gpu: bool, arguments: Mapping[str, Any]) -> None:
    """Check that prompt lookup is used on CPU only: on GPUs vLLM's model runner takes no custom proposer.

    Args:
        on_gpu: whether the engine runs on a GPU.
        arguments: arguments of `vllm.EngineArgs`, the user's own included.

    Raises:
        ValueError: the arguments of the engine ask for it on a GPU.
    """
    if on_gpu and (arguments.get("speculative_config") or {}).get("model") == LOOKUP:
        raise ValueError(f"engine.extra.speculative_config: {LOOKUP} is for CPU engines; vLLM has its own for GPUs")


def _release(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _format_release(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))
