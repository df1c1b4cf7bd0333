"""Own code next to the library that could do it: regex, scipy and scikit-learn are the referees (docs/adr/0009)."""

from __future__ import annotations

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_auc_score

from uniner_dist.core.characters import cuts_character
from uniner_dist.core.scoring import Counts, bootstrap_intervals
from uniner_dist.evaluation.confidence import precision_coverage, rank_auc, reliability

#: What readers see as one character, in many scripts: of one code point or several.
_CHARACTERS = [
    *"aZ9.-ñß漢あアขक한가ㄱ",
    *[
        "e\u0301",
        "o\u0302\u0301",
        "न\u093f",
        "த\u0bbf",
        "ก\u0e34\u0e48",
        "ᄒ\u1161\u11ab",
        "\r\n",
        "☀\ufe0f",
        "1\ufe0f\u20e3",
    ],
    *["👍", "👍🏽", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "🇩🇪", "🇧🇷", "🏴\U000e0067\U000e0062\U000e0065\U000e007f"],
]
_VERDICTS = st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=2, max_size=60)


@settings(deadline=None)
@given(st.lists(st.sampled_from(_CHARACTERS), max_size=12).map("".join))
def test_borders_of_characters_are_those_of_regex(text: str) -> None:
    borders = {found.end() for found in regex.finditer(r"\X", text)}
    assert [at for at in range(1, len(text)) if not cuts_character(text, at)] == sorted(borders - {len(text)})


@pytest.mark.parametrize("text", ["क्ष", "กำ", "ກຳ", "\u06001"])
def test_where_a_name_may_end_inside_of_regexs_character(text: str) -> None:
    assert regex.findall(r"\X", text) == [text]
    assert not cuts_character(text, len(text) - 1)


def test_bootstrap_intervals_are_those_of_scipy() -> None:
    generator = np.random.default_rng(5)
    gold = generator.integers(1, 9, 400)
    predicted = generator.integers(1, 9, 400)
    correct = generator.binomial(np.minimum(gold, predicted), 0.7)
    documents = [Counts(*map(int, one)) for one in zip(correct, predicted, gold, strict=True)]
    ours = bootstrap_intervals(documents, samples=4000)

    def f1(correct: np.ndarray, predicted: np.ndarray, gold: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(2 * correct.sum(axis=axis) / (predicted.sum(axis=axis) + gold.sum(axis=axis)))

    theirs = stats.bootstrap(
        (correct, predicted, gold), f1, paired=True, vectorized=True, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    assert ours["f1"] == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert theirs.high - theirs.low > 0.03


@settings(deadline=None)
@given(_VERDICTS)
def test_ranks_and_calibration_are_those_of_scikit_learn(verdicts: list[tuple[int, bool]]) -> None:
    scores = [score / 1000 for score, _ in verdicts]
    right = [verdict for _, verdict in verdicts]
    if len(set(right)) == 2:
        assert rank_auc(scores, right) == pytest.approx(roc_auc_score(right, scores))
    share, mean = calibration_curve(right, scores, n_bins=10, strategy="uniform")
    if not any(score * 10 == int(score * 10) for score in scores):  # on a border the bins differ, here the upper one
        bins = reliability(scores, right)
        assert [one.right for one in bins] == pytest.approx(list(share))
        assert [one.confidence for one in bins] == pytest.approx(list(mean))


@settings(deadline=None)
@given(_VERDICTS)
def test_precision_at_each_threshold_is_that_of_scikit_learn(verdicts: list[tuple[int, bool]]) -> None:
    scores = [score / 1000 for score, _ in verdicts]
    right = [verdict for _, verdict in verdicts]
    if not any(right):
        return
    precision, _, thresholds = precision_recall_curve(right, scores)
    theirs = dict(zip(thresholds, precision[:-1], strict=True))
    ours = {one.threshold: one.precision for one in precision_coverage(scores, right)}
    assert ours == pytest.approx({threshold: theirs[threshold] for threshold in ours})
    assert set(ours) == set(scores)
