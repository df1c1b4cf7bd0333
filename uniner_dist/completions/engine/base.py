"""The engine interface: token ids in, token ids out, one step at a time, so that the queue stays full across shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class EngineSpec:
    """All an engine needs to load; plain values, picklable.

    `model` is a local folder or hub name; `gpus` is the tensor-parallel size and 0 means CPU.
    """

    kind: str
    model: str
    revision: str | None
    dtype: str
    quantization: str | None
    max_model_len: int
    max_tokens: int
    scores: bool
    gpus: int
    block_size: int | None
    kv_cache_gib: float
    gpu_memory_utilization: float
    max_num_seqs: int | None
    trust_remote_code: bool
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A finished prompt. `logprobs` are natural logarithms of the generated tokens, only with scores."""

    request_id: str
    token_ids: Sequence[int]
    finish_reason: str
    cached_tokens: int
    logprobs: Sequence[float] | None = None


class PromptRefusedError(Exception):
    """The engine refuses this one prompt; the engine itself is well."""


class Engine(Protocol):
    """Continuous batching seen from outside. Any exception but `PromptRefusedError` means that the engine is dead."""

    def add(self, request_id: str, prompt_ids: list[int]) -> None:
        """Hand over one prompt.

        Raises:
            PromptRefusedError: this prompt cannot be answered.
        """

    def step(self) -> list[Answer]:
        """Work on what was handed over, return what finished meanwhile (may be empty)."""

    def close(self) -> None:
        """Release memory and processes."""
