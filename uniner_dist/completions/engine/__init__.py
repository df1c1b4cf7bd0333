"""What a replica needs of an engine, and which engine it gets. vLLM is imported when one is loaded."""

from __future__ import annotations

import os

from uniner_dist.completions.engine.base import Answer, Engine, EngineSpec, PromptRefusedError
from uniner_dist.runtime import nvidia, torch_build
from uniner_dist.runtime.compat.vllm_engines import vllm_version

__all__ = [
    "Answer",
    "Engine",
    "EngineSpec",
    "PromptRefusedError",
    "create_engine",
    "engine_version",
    "engine_warning",
]


def create_engine(spec: EngineSpec) -> Engine:
    """Load the engine that `spec.kind` names, in this process, which takes seconds to minutes.

    Args:
        spec: all that the engine needs; anything but "scripted" is vLLM.

    Returns:
        The loaded engine, to be closed by the caller.

    Raises:
        RuntimeError: the GPU's driver or torch's other packages on this machine do not let vLLM start.
        Exception: whatever the engine itself raises when it cannot load.
    """
    if spec.kind == "scripted":
        from uniner_dist.completions.engine.scripted import ScriptedEngine

        return ScriptedEngine(spec)
    _check_build(spec)
    from uniner_dist.completions.engine.vllm_engine import VllmEngine

    return VllmEngine(spec)


def engine_version(kind: str) -> str:
    """Return name and version of a loaded engine, such as `vllm 0.20.0`.

    Args:
        kind: as `EngineSpec.kind`; the scripted engine has no version, and only its name is returned.
    """
    if kind == "scripted":
        return kind
    return f"vllm {vllm_version()}"


def engine_warning(kind: str) -> str | None:
    """Return a warning about a loaded engine's version; None when it is one that was tested.

    Args:
        kind: as `EngineSpec.kind`.
    """
    if kind == "scripted":
        return None
    from uniner_dist.completions.engine.vllm_support import untested

    return untested(vllm_version())


def _check_build(spec: EngineSpec) -> None:
    """Work around packages that were built for another version of torch, or say how to repair this node.

    Raises:
        RuntimeError: vLLM could not start here.
    """
    problem = nvidia.gpu_problem() if spec.gpus else None
    if problem:
        raise RuntimeError(problem)
    hidden = torch_build.hide_misfits()
    # An engine in a process of its own starts a new interpreter, in which nothing is hidden.
    if hidden and os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING", "1") != "0":
        raise RuntimeError(f"{'; '.join(hidden.values())}: {torch_build.mend(hidden)}")
