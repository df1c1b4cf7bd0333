"""Confidence from log-probabilities: stated products, alignment by characters, nothing raised."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.core.confidence import score_answer
from uniner_dist.core.parse import parse_output

HALF = math.log(0.5)


def test_an_empty_answer_has_the_probability_of_its_tokens() -> None:
    assert score_answer([" []", ""], [HALF, HALF], []).answer == pytest.approx(0.25)
    assert score_answer([], [], []).answer == 1.0


def test_a_mention_has_the_probability_of_its_tokens_from_quote_to_quote() -> None:
    tokens = [' ["', "New", " York", '", "', "Paris", '"]', ""]
    logprobs = [math.log(p) for p in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)]
    score = score_answer(tokens, logprobs, ["New York", "Paris"])
    assert score.mentions == pytest.approx((0.9 * 0.8 * 0.7 * 0.6, 0.6 * 0.5 * 0.4))
    assert score.answer == pytest.approx(math.prod((0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)))


def test_a_token_that_holds_all_counts_for_each_mention() -> None:
    assert score_answer(['["a", "b"]'], [HALF], ["a", "b"]).mentions == pytest.approx((0.5, 0.5))


def test_a_repeated_item_scores_as_its_first() -> None:
    tokens = ['["', "a", '", "', "a", '"]']
    assert score_answer(tokens, [0.0, HALF, 0.0, -9.0, 0.0], ["a"]).mentions == pytest.approx((0.5,))


def test_escapes_and_python_quotes_are_found() -> None:
    assert score_answer(['["', 'a\\"b', '"]'], [0.0, HALF, 0.0], ['a"b']).mentions == pytest.approx((0.5,))
    assert score_answer(["['", "a", "', '", "b", "']"], [0, HALF, 0, 0, 0], ["a", "b"]).mentions == pytest.approx(
        (0.5, 1)
    )


def test_characters_split_over_tokens_are_found() -> None:
    tokens = ['["', "Caf", "\ufffd", "\ufffd", '", "', "\ufffd", "\ufffd", '"]']
    score = score_answer(tokens, [0.0, HALF, 0.0, 0.0, 0.0, HALF, HALF, 0.0], ["Café", "東"])
    assert score.mentions == pytest.approx((0.5, 0.25))


def test_mentions_that_differ_in_split_characters_have_their_own_scores() -> None:
    tokens = ['["', "Zo", "\ufffd", "\ufffd", '", "', "Zo", "\ufffd", "\ufffd", '"]']
    logprobs = [0.0, HALF, 0.0, 0.0, 0.0, HALF, HALF, HALF, 0.0]
    assert score_answer(tokens, logprobs, ["Zoë", "Zoé"]).mentions == pytest.approx((0.5, 0.125))


def test_raw_vocabulary_pieces_are_found() -> None:
    assert score_answer(['Ġ["', "New", "ĠYork", '"]'], [0, HALF, 0, 0], ["New York"]).mentions == pytest.approx((0.5,))


def test_a_mention_that_the_tokens_do_not_spell_has_no_score() -> None:
    assert score_answer(["[]"], [0.0], ["a"]).mentions == (None,)
    assert score_answer([], [], ["a", ""]).mentions == (None, None)


def test_impossible_log_probabilities_are_harmless() -> None:
    score = score_answer(['["', "a", '"]', None], [0.1, float("nan"), float("-inf"), None], ["a"])
    assert score.answer == 0.0


TOKEN = st.one_of(st.sampled_from(['["', '", "', '"]', "a", " b", "\ufffd", "'", "\\", "", "é"]), st.text(max_size=3))


@given(
    st.lists(st.tuples(TOKEN, st.floats(max_value=0)), max_size=20),
    st.lists(st.text(max_size=4), max_size=4),
    st.integers(-2, 2),
)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_scores_are_probabilities_and_nothing_raises(
    pairs: list[tuple[str, float]], mentions: list[str], shift: int
) -> None:
    tokens, logprobs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if shift < 0:
        logprobs = logprobs[:shift]
    for asked in (mentions, parse_output("".join(tokens)).mentions):
        score = score_answer(tokens, logprobs, asked)
        assert 0 <= score.answer <= 1
        assert len(score.mentions) == len(asked)
        assert all(value is None or score.answer - 1e-12 <= value <= 1 for value in score.mentions)


@given(st.lists(st.text("ab é東\"\\'", min_size=1, max_size=5), min_size=1, max_size=5), st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_every_mention_of_a_good_answer_has_the_score_of_its_tokens(mentions: list[str], data: st.DataObject) -> None:
    answer = json.dumps(mentions, ensure_ascii=False)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=10)) if len(answer) > 1 else set())
    tokens = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    logprobs = [-(index + 1) / 7 for index in range(len(tokens))]
    unique = parse_output(answer).mentions or tuple(dict.fromkeys(mentions))
    score = score_answer(tokens, logprobs, unique)
    for mention, value in zip(unique, score.mentions, strict=True):
        prefix = json.dumps(mentions[: mentions.index(mention)], ensure_ascii=False)[:-1]
        start = len(prefix) + (2 if len(prefix) > 1 else 0)
        end = start + len(json.dumps(mention, ensure_ascii=False))
        offset, expected = 0, 0.0
        for token, logprob in zip(tokens, logprobs, strict=True):
            if offset < end and offset + len(token) > start:
                expected += logprob
            offset += len(token)
        assert value == pytest.approx(math.exp(expected))
