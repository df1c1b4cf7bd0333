"""Ranking and calibration of confidences."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.evaluation.confidence import (
    auc_within_groups,
    precision_coverage,
    rank_auc,
    reliability,
    summarise_confidence,
)
from uniner_dist.evaluation.figures import Ranking

_VERDICTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(_VERDICTS)
def test_the_auc_is_the_share_of_pairs_in_the_right_order(verdicts: list[tuple[float, bool]]) -> None:
    rights = [score for score, right in verdicts if right]
    wrongs = [score for score, right in verdicts if not right]
    auc = rank_auc([score for score, _ in verdicts], [right for _, right in verdicts])
    if not rights or not wrongs:
        assert auc is None
        return
    wins = sum((r > w) + 0.5 * (r == w) for r, w in itertools.product(rights, wrongs))
    assert auc == pytest.approx(wins / (len(rights) * len(wrongs)))


@settings(deadline=None)
@given(_VERDICTS)
def test_each_point_of_the_curve_keeps_what_reaches_its_threshold(verdicts: list[tuple[float, bool]]) -> None:
    points = precision_coverage([score for score, _ in verdicts], [right for _, right in verdicts])
    for point in points:
        kept = [right for score, right in verdicts if score >= point.threshold]
        assert point.coverage == pytest.approx(len(kept) / len(verdicts))
        assert point.precision == pytest.approx(sum(kept) / len(kept))
    assert [point.threshold for point in points] == sorted({score for score, _ in verdicts}, reverse=True)


def test_a_long_curve_is_thinned_out_and_keeps_its_ends() -> None:
    scores = [i / 1000 for i in range(1001)]
    points = precision_coverage(scores, [i % 3 == 0 for i in range(1001)])
    assert len(points) == 100
    assert (points[0].threshold, points[-1].threshold, points[-1].coverage) == (1.0, 0.0, 1.0)


@settings(deadline=None)
@given(_VERDICTS)
def test_the_bins_hold_every_answer_once(verdicts: list[tuple[float, bool]]) -> None:
    bins = reliability([score for score, _ in verdicts], [right for _, right in verdicts])
    assert sum(one.n for one in bins) == len(verdicts)
    assert sum(one.n * one.right for one in bins) == pytest.approx(sum(right for _, right in verdicts))
    assert all(one.low - 1e-9 <= one.confidence <= one.high + 1e-9 for one in bins)


_GROUPED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]) | st.floats(0, 1), st.booleans(), st.sampled_from("abc")),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(_GROUPED)
def test_the_auc_within_types_compares_answers_of_one_type_only(verdicts: list[tuple[float, bool, str]]) -> None:
    scores, right, types = zip(*verdicts, strict=True) if verdicts else ((), (), ())
    pairs = [(r, w) for r, one, t in verdicts if one for w, other, u in verdicts if not other and t == u]
    auc = auc_within_groups(scores, right, types)
    if not pairs:
        assert auc is None
        return
    assert auc == pytest.approx(sum((r > w) + 0.5 * (r == w) for r, w in pairs) / len(pairs))


def test_types_of_unlike_accuracy_can_hide_each_others_order() -> None:
    summary = summarise_confidence([0.9, 0.8, 0.5, 0.4], [True, False] * 2, ["easy", "easy", "hard", "hard"])
    assert summary is not None
    assert (summary.auc, summary.auc_within_types) == (0.75, 1.0)
    assert summary.by_type == {name: Ranking(n=2, right=0.5, auc=1.0) for name in ("easy", "hard")}


def test_no_confidences_have_no_summary() -> None:
    assert summarise_confidence([], [], []) is None
