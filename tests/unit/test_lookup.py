"""Guesses by prompt lookup: what followed the last tokens where they stood before."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from uniner_dist.completions.engine.lookup import PromptLookup, guess


def proposer(guesses: int = 3, limit: int = 20) -> PromptLookup:
    speculative, model = SimpleNamespace(num_speculative_tokens=guesses), SimpleNamespace(max_model_len=limit)
    return PromptLookup(SimpleNamespace(speculative_config=speculative, model_config=model))


@given(st.lists(st.integers(0, 3) | st.sampled_from([1 << 8, 1 << 16, 257, 65_793]), min_size=1, max_size=14))
def test_a_guess_follows_the_longest_beginning_that_was_there_before(tokens: list[int]) -> None:
    wanted: list[int] = []
    for length in (1, 2, 3):  # the longest is the last one
        starts = [at for at in range(len(tokens) - length) if tokens[at : at + length] == tokens[-length:]]
        wanted = tokens[starts[0] + length :][:3] if starts and length <= len(tokens) else wanted
    assert guess(np.array(tokens, np.int32), 3) == wanted


def test_only_requests_with_a_token_are_guessed_for_within_the_context() -> None:
    rows = np.zeros((4, 20), np.int32)
    rows[:, :8] = [1, 2, 3, 4, 9, 1, 2, 3]
    counts = np.array([8, 8, 0, 0], np.int32)
    assert proposer().propose([[3], []], counts, rows) == [[4, 9, 1], []]
    assert proposer(limit=10).propose([[3]], counts, rows) == [[4]]
    assert proposer(limit=9).propose([[3]], counts, rows) == [[]]
    assert proposer().propose([[7]], np.array([1], np.int32), rows + 7) == [[]]
