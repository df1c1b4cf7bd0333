"""The authors' metric to the last digit, span metrics against brute force, and intervals that can be repeated."""

from __future__ import annotations

import json
import re
import string
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.core.scoring import (
    Counts,
    bootstrap_intervals,
    group_counts,
    macro_f1,
    normalize_mention,
    official_answer,
    official_counts,
    official_score,
    relaxed_span_counts,
    strict_span_counts,
    total,
)

PIECES = st.sampled_from(
    [
        '["',
        '"]',
        '", "',
        "[",
        "]",
        "a",
        "The ",
        "an",
        "Big-Apple",
        "U.S.",
        " ",
        "\n",
        "1",
        "{}",
        "null",
        "é",
        "\\n",
        "'",
        "İ",
        "the_",
    ]
)
ROUGH = st.lists(PIECES, max_size=14).map("".join)
LISTS = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(["The Who", "who", "U.S.", "us", "a", ""])), max_size=5)
ANSWER = st.one_of(ROUGH, LISTS.map(json.dumps), LISTS.map(lambda items: json.dumps(items, ensure_ascii=False)))


def restated_metric(outputs: list[str], golds: list[str]) -> dict[str, float]:
    """The metric as it is stated, written down a second time without the package's code."""

    def plain(item: Any) -> str:
        kept = "".join(character for character in item.lower() if character not in string.punctuation)
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())

    def read(answer: str) -> list[Any]:
        try:
            match = re.match(r"\[(.*?)\]", answer)
            items = json.loads(match.group() if match else "[]")
            kept: list[Any] = []
            for item in items:
                value = tuple(map(plain, item)) if isinstance(item, list) else plain(item)
                if value not in kept:
                    kept.append(value)
            return kept
        except Exception:
            return []

    right = named = wanted = 0
    for output, gold in zip(outputs, golds, strict=False):
        found, expected = read(output), read(gold)
        right += sum(item in expected for item in found)
        named += len(found)
        wanted += len(expected)
    precision, recall = right / (named + 1e-10), right / (wanted + 1e-10)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall + 1e-10)}


@given(st.lists(st.tuples(ANSWER, ANSWER), max_size=8))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_the_official_score_is_the_stated_metric(rows: list[tuple[str, str]]) -> None:
    outputs, golds = [row[0] for row in rows], [row[1] for row in rows]
    assert official_score(outputs, golds) == restated_metric(outputs, golds)


@pytest.mark.parametrize(
    ("output", "gold", "counts"),
    [
        ('["The Beatles", "beatles!"]', '["Beatles"]', Counts(1, 1, 1)),
        ('["a", "the"]', '["an"]', Counts(1, 1, 1)),
        ('["x"] ["y"]', '["y"]', Counts(0, 1, 1)),
        (' ["x"]', '["x"]', Counts(0, 0, 1)),
        ('["x", 1]', '["x"]', Counts(0, 0, 1)),
        ('["x]"]', '["x]"]', Counts(0, 0, 0)),
        ('["x",\n"y"]', '["x"]', Counts(0, 0, 1)),
        ("['x']", '["x"]', Counts(0, 0, 1)),
        ("[]", "[]", Counts(0, 0, 0)),
        ("", '["x", "y"]', Counts(0, 0, 2)),
        ("[" * 100_000 + "]", '["x"]', Counts(0, 0, 1)),
    ],
)
def test_each_rule_of_the_official_evaluator_on_an_example(output: str, gold: str, counts: Counts) -> None:
    assert official_counts(output, gold) == counts


def test_a_missing_answer_counts_as_an_empty_list() -> None:
    assert official_counts(None, '["x"]') == Counts(0, 0, 1)


def test_the_official_answer_is_what_follows_the_last_turn() -> None:
    assert official_answer(' ["x"]\n') == '["x"]'
    assert official_answer('USER: y ASSISTANT: ["x"]') == '["x"]'


def test_normalisation_drops_punctuation_before_articles() -> None:
    assert normalize_mention("The A.N. Other-thing") == "otherthing"
    assert normalize_mention("  An   Apple’s  ") == "apple’s"


@given(st.lists(st.tuples(ANSWER, ANSWER), max_size=6), st.integers(0, 6))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_counts_of_parts_add_up_to_the_whole(rows: list[tuple[str, str]], cut: int) -> None:
    counts = [official_counts(*row) for row in rows]
    assert total([total(counts[:cut]), total(counts[cut:])]).as_scores() == official_score(
        [row[0] for row in rows], [row[1] for row in rows]
    )


SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)).map(lambda pair: (pair[0], sum(pair))), max_size=5)


@given(SPANS, SPANS)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_span_counts_agree_with_brute_force(predicted: list[tuple[int, int]], gold: list[tuple[int, int]]) -> None:
    found, expected = set(predicted), set(gold)
    strict = strict_span_counts(predicted, gold)
    assert strict == Counts(sum(span in expected for span in found), len(found), len(expected))
    relaxed = relaxed_span_counts(predicted, gold)
    assert (relaxed.predicted, relaxed.gold) == (len(found), len(expected))
    assert relaxed.correct == best_matching(sorted(found), sorted(expected))


def test_relaxed_counts_of_disjoint_spans_are_the_best_matching() -> None:
    cuts = range(6)
    families = [[(start, end)] for start, end in combinations(cuts, 2)]
    families += [[(a, b), (c, d)] for a, b, c, d in combinations(cuts, 4)]
    families += [[(a, b), (b, c)] for a, b, c in combinations(cuts, 3)]
    for found in families:
        for expected in families:
            assert relaxed_span_counts(found, expected).correct == best_matching(found, expected)


def best_matching(found: list[tuple[int, int]], expected: list[tuple[int, int]]) -> int:
    """The most pairs of overlapping spans, each span in at most one pair, by trying all."""
    short, long = sorted((found, expected), key=len)
    return max(
        (
            sum(max(one[0], other[0]) < min(one[1], other[1]) for one, other in zip(short, order, strict=True))
            for order in permutations(long, len(short))
        ),
        default=0,
    )


def test_relaxed_counts_let_each_gold_span_serve_one_prediction() -> None:
    assert relaxed_span_counts([(0, 3), (3, 6)], [(0, 6)]) == Counts(1, 2, 1)
    assert relaxed_span_counts([(0, 6)], [(5, 8)]) == Counts(1, 1, 1)
    assert relaxed_span_counts([(0, 5)], [(5, 8)]) == Counts(0, 1, 1)


def test_groups_sum_their_rows_and_the_macro_average_weighs_them_alike() -> None:
    groups = group_counts([("person", Counts(1, 1, 1)), ("date", Counts(0, 1, 1)), ("person", Counts(1, 1, 1))])
    assert groups == {"person": Counts(2, 2, 2), "date": Counts(0, 1, 1)}
    assert macro_f1(groups) == pytest.approx(0.5)
    assert macro_f1({}) == 0.0


def test_bootstrap_intervals_repeat_with_their_seed_and_hold_the_score() -> None:
    generator = np.random.default_rng(3)
    documents = [Counts(int(right), 5, 6) for right in generator.integers(0, 6, 200)]
    intervals = bootstrap_intervals(documents, samples=500, seed=7)
    assert intervals == bootstrap_intervals(documents, samples=500, seed=7)
    assert intervals != bootstrap_intervals(documents, samples=500, seed=8)
    scores = total(documents).as_scores()
    for name, (low, high) in intervals.items():
        assert low < scores[name] < high
    # The standard error of the mean precision is known here: the interval must be about 2 * 1.96 of it wide.
    width = 2 * 1.96 * np.std([one.correct / 5 for one in documents]) / np.sqrt(len(documents))
    assert intervals["precision"][1] - intervals["precision"][0] == pytest.approx(width, rel=0.2)


def test_bootstrap_intervals_of_nothing_and_of_one_document_are_points() -> None:
    assert bootstrap_intervals([]) == {"precision": (0.0, 0.0), "recall": (0.0, 0.0), "f1": (0.0, 0.0)}
    low, high = bootstrap_intervals([Counts(1, 2, 4)], samples=10)["recall"]
    assert low == high == pytest.approx(0.25)
