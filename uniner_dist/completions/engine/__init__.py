"""What a replica needs of an engine, and which engine it gets. The only package that imports vllm (lazily)."""

from __future__ import annotations

from uniner_dist.completions.engine.base import Answer, Engine, EngineSpec, PromptRefusedError

__all__ = ["Answer", "Engine", "EngineSpec", "PromptRefusedError", "create_engine", "engine_version"]


def create_engine(spec: EngineSpec) -> Engine:
    """Load the engine that `spec.kind` names, in this process; slow, and raises the engine's own error."""
    if spec.kind == "scripted":
        from uniner_dist.completions.engine.scripted import ScriptedEngine

        return ScriptedEngine(spec)
    from uniner_dist.completions.engine.vllm_engine import VllmEngine

    return VllmEngine(spec)


def engine_version(kind: str) -> str:
    """Name and version of a loaded engine, such as `vllm 0.20.0`."""
    if kind == "scripted":
        return kind
    import vllm

    return f"vllm {vllm.__version__}"
