"""vLLM's interface for custom proposers of speculative decoding. Importing this does not import vllm.

vLLM's runner on CPU makes one from `speculative_config`, and calls it after every step;
`tests/unit/test_vllm_interfaces.py` says when a release has changed what it reads or how it is called.
"""

from __future__ import annotations

from typing import Any


def proposer_config(path: str, guesses: int) -> dict[str, object]:
    """The engine's argument `speculative_config` that has vLLM make a proposer.

    Args:
        path: module and class.
        guesses: the most tokens that are guessed at once.
    """
    return {"method": "custom_class", "model": path, "num_speculative_tokens": guesses}


class ModelFreeProposer:
    """Base class of a proposer: limits from vLLM's configuration, and no model to load."""

    def __init__(self, vllm_config: Any) -> None:
        self._guesses: int = vllm_config.speculative_config.num_speculative_tokens
        self._limit: int = vllm_config.model_config.max_model_len

    def load_model(self, *arguments: Any, **named: Any) -> None:
        """There is none."""
