"""vLLM's interface for custom proposers of speculative decoding. Importing this does not import vllm.

vLLM's runner on CPU makes one from `speculative_config`, and calls it after every step;
`tests/unit/test_vllm_interfaces.py` says when a release has changed what it reads or how it is called.
"""

from __future__ import annotations

from typing import Any


def proposer_config(path: str, guesses: int) -> dict[str, object]:
    """Return the engine's argument `speculative_config` that has vLLM make a proposer.

    Args:
        path: full name of the proposer's class, `MODULE.CLASS`.
        guesses: the most tokens that are guessed at once.
    """
    return {"method": "custom_class", "model": path, "num_speculative_tokens": guesses}


class ModelFreeProposer:
    """Base class of a proposer: limits from vLLM's configuration, and no model to load.

    Args:
        vllm_config: vLLM's `VllmConfig`, with a `speculative_config`.
    """

    def __init__(self, vllm_config: Any) -> None:
        self._guesses: int = vllm_config.speculative_config.num_speculative_tokens
        self._limit: int = vllm_config.model_config.max_model_len

    def load_model(self, *arguments: Any, **named: Any) -> None:
        """Do nothing: there is no model.

        Args:
            *arguments: what vLLM passes to proposers with a model.
            **named: the same by name.
        """
