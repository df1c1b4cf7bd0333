"""The engine interface: token ids in, token ids out, one step at a time, so that the queue stays full across shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from uniner_dist.config.schema import ModelConfig

#: Name of the request's parameter that tells an engine how many tokens of a prompt others share.
SHARED_TOKENS: Final = "shared_tokens"


@dataclass(frozen=True)
class EngineSpec:
    """All an engine needs to load; plain values, picklable.

    `gpus` is the tensor-parallel size and 0 means CPU; `max_model_len` is the context in tokens. The model is resolved
    where the engine loads, so that a remote folder is copied once per node; one that is no longer `model_identity` is
    refused. `eos_id` ends an answer, and so does one of `empty_list_ids` where the answer is an empty list by then.
    `tokenizer_json` tells whether it is; default: the model's own.
    """

    kind: str
    model: ModelConfig
    max_model_len: int
    scores: bool = False
    gpus: int = 0
    block_size: int | None = None
    prefix_tails: bool | None = None
    kv_cache_gib: float = 1.0
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int | None = None
    metrics: bool = False
    eos_id: int | None = None
    empty_list_ids: Sequence[int] = ()
    tokenizer_json: str = field(default="", repr=False)
    model_identity: str = ""
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
    """The engine refuses this one prompt; the engine itself still works."""


class Engine(Protocol):
    """Continuous batching. Any exception but `PromptRefusedError` means that the engine is dead."""

    def add(self, request_id: str, prompt_ids: list[int], shared_tokens: int = 0) -> None:
        """Add one prompt.

        Args:
            request_id: names the prompt's `Answer`; not that of another prompt without an answer.
            prompt_ids: token ids of the whole prompt.
            shared_tokens: how many of its first tokens other prompts, added at about the same time, begin with as well;
                a hint, 0 if none are known.

        Raises:
            PromptRefusedError: this prompt cannot be answered.
        """

    def step(self) -> list[Answer]:
        """Run one step over the added prompts.

        Returns:
            Answers of the prompts that are finished with this step, in any order; may be empty.
        """

    def tokens(self) -> int:
        """Return the tokens generated so far for prompts that are not finished; asked from another thread.

        A number that does not change while prompts are in flight means a hung engine.
        """

    def close(self) -> None:
        """Release memory and processes."""
