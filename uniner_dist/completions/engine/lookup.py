"""Speculative decoding by prompt lookup: answers are copies of the text, so the text predicts their continuation.

The model checks guessed tokens together with its next one, which costs it less than a step for each; guesses that it
would not have generated itself are dropped, so answers stay the same. A guess is what followed the last tokens of an
answer where they occurred before, in the prompt or in the answer (some repeat). Bytes are compared, so there is nothing
to compile.

vLLM imports this class by its name (`speculative_config`, method `custom_class`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.runtime.compat.vllm_proposers import ModelFreeProposer

#: Longest and shortest suffix that is searched for, in tokens.
_LONGEST, _SHORTEST = 3, 1


class PromptLookup(ModelFreeProposer):
    """Proposer of tokens for every request of a step."""

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: npt.NDArray[np.int32],
        token_ids_cpu: npt.NDArray[np.int32],
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """Guess the next tokens of every request of a step.

        Args:
            sampled_token_ids: token ids that the step sampled for each request; none while its prompt is not computed.
            num_tokens_no_spec: tokens of each request so far, prompt and answer.
            token_ids_cpu: these tokens, a row per request; what is beyond their number is not read.
            slot_mappings: not used.

        Returns:
            One list of guessed tokens per request, empty where no suffix occurred before.
        """
        return [
            guess(token_ids_cpu[row, :count], min(self._guesses, self._limit - count - 1)) if sampled else []
            for row, (sampled, count) in enumerate(zip(sampled_token_ids, num_tokens_no_spec.tolist(), strict=False))
        ]


def guess(tokens: npt.NDArray[np.int32], most: int) -> list[int]:
    """Return the tokens that followed the first occurrence of the longest possible suffix of the tokens so far.

    Args:
        tokens: token ids of a request so far, prompt and answer.
        most: how many tokens to return at most; 0 or less returns none.

    Returns:
        Token ids; empty where no suffix of 3 to 1 tokens occurred before.
    """
    data = tokens.tobytes()
    size = tokens.itemsize
    for length in range(_LONGEST, _SHORTEST - 1, -1):
        last = data[-length * size :]
        at = data.find(last)
        while at % size:  # between two tokens
            at = data.find(last, at + 1)
        follow = at // size + length
        if follow < len(tokens) and most > 0:
            found: list[int] = tokens[follow : follow + most].tolist()
            return found
    return []
