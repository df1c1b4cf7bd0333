"""Triage without engines: features, draws, exact binomials, the bound by fixed sequence, sizes, and the check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from tests.support.report_page import report, report_values
from tests.support.triage_oracle import draws, synthetic_corpus
from uniner_dist.core.hashing import passage_id
from uniner_dist.reporting.triage import format_report
from uniner_dist.storage.control_files import ReportedTriage, TriagePlan, TriagePromise, TriageVerdict
from uniner_dist.triage.binomial import at_most, interval, misses_allowed, smallest_sample
from uniner_dist.triage.bound import LEVELS, NEVER, Promise, find_bound, find_caps, find_rare, foretell
from uniner_dist.triage.check import Kept, judge
from uniner_dist.triage.classifier import Classifier, value_of
from uniner_dist.triage.draw import Draw
from uniner_dist.triage.features import BITS, NO_FEATURE, Features, hash_texts
from uniner_dist.triage.learning import learn, score_unseen
from uniner_dist.triage.saving import Prices, estimate_saving, why_all
from uniner_dist.triage.sizes import calibration_share, check_share, learning_share

_PROMISE = Promise(missed=0.01, missed_of_type=0.05)
_LOOSE = Promise(missed=0.01, missed_of_type=0.05, include_rare=True)


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (59, 0.05), (598, 0.005), (1693, 0.01), (40_000, 0.02)])
def test_binomial_tails_are_those_of_scipy(n: int, p: float) -> None:
    for k in (-1, 0, 1, round(n * p), n - 1, n):
        assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 58, 59, 298, 299, 1692, 1693])
@pytest.mark.parametrize("bound", [0.01, 0.05])
def test_one_miss_more_than_allowed_is_too_likely(n: int, bound: float) -> None:
    allowed = misses_allowed(n, bound, 0.05)
    assert allowed < 0 or binom.cdf(allowed, n, bound) <= 0.05
    assert allowed == n or binom.cdf(allowed + 1, n, bound) > 0.05


def test_smallest_samples_are_those_of_the_formula() -> None:
    assert [smallest_sample(b, 0.05) for b in (0.005, 0.01, 0.02, 0.05)] == [598, 299, 149, 59]
    assert smallest_sample(0.01, 0.05, 10) == 1693
    assert smallest_sample(0.05, 0.05 / 20) == math.ceil(math.log(0.05 / 20) / math.log1p(-0.05))


@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 898), (3, 40), (40, 40), (17, 3600)])
def test_intervals_are_those_of_clopper_and_pearson(k: int, n: int) -> None:
    low, high = interval(k, n, 0.05)
    assert low == pytest.approx(beta.ppf(0.05, k, n - k + 1) if k else 0.0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.95, k + 1, n - k) if k < n else 1.0, abs=1e-9)


def test_a_bound_allows_what_the_binomial_allows() -> None:
    scores = np.full(1693, 0.4, np.float32)
    scores[:10] = 1e-4  # misses of all levels above
    questions, filled = np.zeros(1693, np.int64), np.ones(1693, bool)
    wide = Promise(missed=0.01, missed_of_type=0.05)
    bound = find_bound(scores, questions, filled, [False], wide)
    assert bound.missed == 10
    assert 1e-4 < bound.thresholds[0] < 0.4
    scores[10] = 1e-4
    assert find_bound(scores, questions, filled, [False], wide).thresholds[0] < 1e-4


def test_too_few_filled_cells_skip_nothing() -> None:
    for count, skips in ((298, False), (299, True)):
        scores, questions = np.full(count, 0.9, np.float32), np.zeros(count, np.int64)
        bound = find_bound(scores, questions, np.ones(count, bool), [False], _PROMISE)
        assert bound.skips is skips
        assert bound.thresholds[0] == (LEVELS[-1] if skips else NEVER)


def test_empty_calibration_cells_do_not_count() -> None:
    scores, questions = np.full(5000, 1e-5, np.float32), np.zeros(5000, np.int64)
    bound = find_bound(scores, questions, np.zeros(5000, bool), [False], _PROMISE)
    assert (bound.filled, bound.skips) == (0, False)


def test_a_question_with_misses_of_its_own_is_skipped_less() -> None:
    rng = np.random.default_rng(3)
    questions = np.repeat([0, 1], [20_000, 300])
    scores = np.full(len(questions), 0.6, np.float32)
    scores[20_000:20_060] = 0.01  # a fifth of the second question, 0.3 % of all
    order = rng.permutation(len(questions))
    bound = find_bound(scores[order], questions[order], np.ones(len(questions), bool), [False, False], _PROMISE)
    assert bound.thresholds[0] == LEVELS[-1]
    assert bound.thresholds[1] < 0.01


def test_caps_leave_what_may_be_missed_to_other_questions() -> None:
    levels, filled = np.full((1000, 2), 0.9, np.float32), np.ones((1000, 2), bool)
    levels[:, 1] = np.where(np.arange(1000) < 100, 0.01, 0.9)  # a tenth of the second question is hard to tell
    caps = find_caps(levels, filled, [False, False], _PROMISE)
    assert caps[0] == LEVELS[-1]
    assert 0.009 < caps[1] < 0.01
    questions, scores = np.repeat([0, 1], 5_000), np.repeat(levels.T, 5, axis=1).ravel()
    every = np.ones(10_000, bool)
    capped = find_bound(scores, questions, every, [False, False], _PROMISE, caps)
    assert capped.thresholds == (LEVELS[-1], caps[1])
    assert max(find_bound(scores, questions, every, [False, False], _PROMISE).thresholds) < 0.01


def test_a_cap_lets_a_few_of_a_questions_own_be_missed() -> None:
    scores, filled = np.full((1000, 1), 0.9, np.float32), np.ones((1000, 1), bool)
    scores[:20] = 0.01  # 2 % of what is filled, of the 5 % that may be missed
    assert find_caps(scores, filled, [False], _PROMISE) == (LEVELS[-1],)
    scores[20] = 0.01
    assert find_caps(scores, filled, [False], _PROMISE)[0] < 0.01
    scores[:] = 1e-9
    assert find_caps(scores, filled, [False], _PROMISE) == (NEVER,)


def test_a_rare_question_is_capped_where_a_fifth_of_it_is_missed() -> None:
    scores, filled = np.full((1000, 1), 0.9, np.float32), np.ones((1000, 1), bool)
    scores[:200] = 0.01
    assert find_caps(scores, filled, [True], _PROMISE) == (LEVELS[-1],)
    scores[200] = 0.01
    assert find_caps(scores, filled, [True], _PROMISE)[0] < 0.01


def test_a_learning_sample_is_scored_by_what_has_not_seen_it() -> None:
    words = ["lamp", "river", "seven", "walked", "slowly", "under", "kettle", "nine"]
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(words, 6)) for _ in range(90)]
    filled = rng.random((90, 1)) < 0.5  # nothing can be learnt, only known by heart
    own, unseen = learn(texts, filled).score(texts), score_unseen(texts, filled)
    assert ((own > 0.5) == filled).mean() > 0.8
    assert ((unseen > 0.5) == filled).mean() < 0.7
    assert score_unseen(texts[:1], filled[:1]).tolist() == [[1]]


def test_a_rare_question_is_asked_or_included_as_said() -> None:
    learnt = np.zeros((1000, 3), bool)
    learnt[:200, 0] = learnt[:2, 1] = True  # the third one never occurs
    rare = find_rare(learnt, 4000, _PROMISE)
    assert rare == (False, True, True)
    scores, questions, filled = np.full(600, 0.9, np.float32), np.zeros(600, np.int64), np.ones(600, bool)
    asked = find_bound(scores, questions, filled, rare, _PROMISE)
    assert asked.thresholds == (LEVELS[-1], NEVER, NEVER)
    included = find_bound(scores, questions, filled, rare, Promise(0.01, 0.05, include_rare=True))
    assert included.thresholds == (LEVELS[-1],) * 3


def test_draws_are_uniform_independent_and_repeatable() -> None:
    ids = [passage_id(f"text {n}") for n in range(20_000)]
    one, other = Draw("a"), Draw("b")
    cells = one.cells(ids, ["person", "place"], "calibrate", 0.1)
    assert np.array_equal(cells, one.cells(ids, ["person", "place"], "calibrate", 0.1))
    assert np.array_equal(cells[:100], one.cells(ids[:100], ["person", "place"], "calibrate", 0.1))
    again = other.cells(ids, ["person", "place"], "calibrate", 0.1)
    passages = one.passages(ids, "learn", 0.1)
    assert np.all(binom.cdf(cells.sum(axis=0), 20_000, 0.1) > 1e-6)
    assert np.all(binom.sf(cells.sum(axis=0), 20_000, 0.1) > 1e-6)
    for both in (cells[:, 0] & cells[:, 1], cells[:, 0] & again[:, 0], cells[:, 0] & passages):
        assert 1e-6 < binom.cdf(both.sum(), 20_000, 0.01) < 1 - 1e-6
    assert one.cells([], ["person"], "calibrate", 0.5).shape == (0, 1)
    assert not one.passages(ids, "learn", 0).any()
    assert one.passages(ids, "learn", 1).all()


def _features_of(features: Features, place: int) -> list[set[int]]:
    """Features of one text, by block, each of which is there once."""
    found = []
    for block in features.blocks:
        own = block.indices[:, block.offsets[place] : block.offsets[place + 1]]
        kept = [row[row != NO_FEATURE].tolist() for row in own]
        assert all(len(row) == len(set(row)) for row in kept)
        found.append(set().union(*kept))
    return found


def test_features_of_a_text_do_not_depend_on_its_neighbours() -> None:
    texts = ["Marie Curie worked in Paris.", "", "Zürich — 東京", " ", "a", "Marie Curie worked in Paris."] * 5
    together = hash_texts(texts)
    assert len(together) == len(texts)
    sizes = together.sizes
    for place, text in enumerate(texts):
        alone = hash_texts([text])
        assert _features_of(together, place) == _features_of(alone, 0)
        assert sizes[place] == alone.sizes[0]
    assert all(block.indices.max() < 1 << BITS for block in together.blocks)
    (_, one), (_, other) = (_features_of(hash_texts([text]), 0) for text in ("Curie in Rome", "Rome, Curie"))
    assert len(one & other) == 2 * 2  # two words, as they are and in lower case


def test_what_a_text_repeats_counts_once() -> None:
    once, often = hash_texts(["to be or not"]), hash_texts(["to be or not to be or not to be or not"])
    assert _features_of(once, 0)[1] < _features_of(often, 0)[1]
    assert len(_features_of(often, 0)[1] - _features_of(once, 0)[1]) == 1  # "not to"
    assert _features_of(hash_texts(["Not NOT not"]), 0)[1] > _features_of(hash_texts(["not not"]), 0)[1]


def test_scores_are_those_of_the_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1 << BITS, 3)).astype(np.float32)
    weights[NO_FEATURE] = 0
    classifier = Classifier(weights, np.array([0.5, -1, 2], np.float32))
    texts = [" ".join(rng.choice(["alpha", "Beta", "ga mma", "δ"], size=n)) for n in rng.integers(0, 4000, 8)]
    texts += ["", "..", "one", *["some more"] * 300]
    features = hash_texts(texts)
    values = value_of(features)
    for place, row in enumerate(classifier.score(texts)[:11]):
        logits = classifier.intercepts.astype(np.float64)
        for block in features.blocks:
            own = block.indices[:, block.offsets[place] : block.offsets[place + 1]].ravel()
            logits += block.weight * values[place] * weights[own].astype(np.float64).sum(axis=0)
        assert row == pytest.approx(1 / (1 + np.exp(-logits)), rel=1e-3, abs=1e-6)
    assert classifier.score([]).shape == (0, 3)


def test_what_is_learnt_tells_filled_cells_from_empty_ones() -> None:
    rng = np.random.default_rng(1)
    words = ["lamp", "river", "seven", "walked", "slowly", "under"]
    there = rng.random(400) < 0.3
    texts = [" ".join([*rng.choice(words, 8), *(["Paris"] if one else [])]) for one in there]
    filled = np.stack([there, np.zeros(400, bool), np.ones(400, bool)], axis=1)
    scores = learn(texts[:300], filled[:300]).score(texts[300:])
    assert scores[there[300:], 0].min() > scores[~there[300:], 0].max()
    assert scores[:, 1] == pytest.approx(0.5 / 301, rel=1e-3)
    assert scores[:, 2] == pytest.approx(300.5 / 301, rel=1e-3)


def test_samples_grow_with_the_run_and_end() -> None:
    assert learning_share(10, 0, _PROMISE, 0.2) is None
    assert learning_share(100, 500, _PROMISE, 0.2) is None
    assert learning_share(5_000, 50_000, _PROMISE, 0.2) == 0.1
    assert learning_share(10_000_000, 100_000_000, _PROMISE, 0.2) == pytest.approx(3_000 / 10_000_000)
    assert calibration_share(0.15, 10, 50_000, _PROMISE, 0.2) == pytest.approx(0.1)
    assert calibration_share(0.15, 10, 100_000_000, _PROMISE, 0.2) * 100_000_000 == pytest.approx(40_000)
    assert calibration_share(0.01, 10, 100_000_000, _PROMISE, 0.2) * 100_000_000 == pytest.approx(169_300)
    assert calibration_share(0.0, 10, 50_000, _PROMISE, 0.2) == 0
    assert (
        calibration_share(298 / 5_000, 10, 50_000, _PROMISE, 0.2)
        == 0
        < calibration_share(299 / 5_000, 10, 50_000, _PROMISE, 0.2)
    )


def test_what_the_sample_foretells_is_what_the_calibration_finds() -> None:
    corpus = synthetic_corpus(clustered=False)
    rare = find_rare(corpus.learnt, 4000, _LOOSE)
    caps = find_caps(corpus.scores, corpus.filled, rare, _LOOSE)
    expected, floors = (foretell(corpus.scores, corpus.filled, rare, caps, _LOOSE, 80_000, z) for z in (0.0, 2.0))
    rng = np.random.default_rng(2)
    below, highest = [], []
    for _ in range(40):
        places = rng.integers(0, 3_000, 80_000), rng.integers(0, 20, 80_000)
        found = find_bound(corpus.scores[places], places[1], corpus.filled[places], rare, _LOOSE, caps)
        below.append(np.asarray(found.thresholds) >= np.asarray(floors))
        highest.append(max(found.thresholds))
    assert np.median(highest) == pytest.approx(max(expected), rel=0.3)
    assert np.mean([one.all() for one in below]) > 0.7
    assert max(floors) < max(expected)
    few = foretell(corpus.scores, corpus.filled, rare, caps, _LOOSE, 100)
    assert set(few) == {NEVER}


def _drawn_tokens(scores: np.ndarray, thresholds: float, floors: float, prices: Prices) -> float:
    """Tokens of one triaged run, cell by cell, as a share of the full one."""
    rng = np.random.default_rng(5)
    learning = rng.random(len(scores)) < 0.1
    drawn = (rng.random(scores.shape) < 0.05) & ~learning[:, None]
    touched = drawn.any(axis=1, keepdims=True)
    asked = learning[:, None] | drawn | (scores > np.where(touched, floors, thresholds))
    checked = (rng.random(scores.shape) < 0.05) & ~asked
    asked |= checked & ~touched
    again = checked & touched  # when the prefix has been computed before
    tokens = prices.computed(asked.astype(np.float64)).sum() + prices.computed(again.astype(np.float64)).sum()
    return float(1 - tokens / prices.computed(np.ones(scores.shape)).sum())


@pytest.mark.parametrize(("frame", "ask", "pays"), [(30, 15, True), (300, 1, False), (0, 10, True)])
def test_a_saving_is_estimated_as_a_run_draws_it(frame: int, ask: int, pays: bool) -> None:
    scores = synthetic_corpus(clustered=False).scores[:, :8]
    prices = Prices(np.random.default_rng(1).integers(5, 100, len(scores)) + frame, [ask] * 8)
    found = estimate_saving(scores, [0.1] * 8, [0.05] * 8, (0.1, 0.05, 0.05), prices)
    assert found.tokens == pytest.approx(_drawn_tokens(scores, 0.1, 0.05, prices), abs=0.01)
    assert (
        found.tokens > 0
    ) == pays  # prefixes that are computed again to check may cost more than all that is skipped
    assert found.tokens <= found.prompts < 1


def test_a_saving_is_never_negative_and_a_small_one_is_left() -> None:
    scores, prices = np.full((10, 2), 0.5, np.float32), Prices(np.full(10, 55), [15, 15])
    nothing = estimate_saving(scores, [NEVER] * 2, [NEVER] * 2, (0.1, 0.1, 0.05), prices)
    assert nothing.tokens == pytest.approx(0)
    assert "0.0%" in str(why_all(0.1, nothing))
    everything = estimate_saving(scores, [0.5] * 2, [0.5] * 2, (0.1, 0.1, 0.05), prices)
    assert why_all(0.1, everything) is None
    assert "too few" in str(why_all(0.0, everything))
    assert estimate_saving(scores[:0], [0.5] * 2, [0.5] * 2, (0.1, 0.1, 0.05), prices).tokens == 0


def test_a_check_is_as_large_as_the_rate_at_the_bound_needs() -> None:
    share = check_share(0.2, 0.6, 10_000_000, _PROMISE)
    assert share * 0.6 * 10_000_000 == pytest.approx(4 * 898)
    assert check_share(0.2, 0.6, 1000, _PROMISE) == 0.05
    assert check_share(0.0, 0.6, 1000, _PROMISE) == check_share(0.2, 0.0, 1000, _PROMISE) == 0.0


def test_a_check_is_held_open_or_broken() -> None:
    # 20,000 filled: 202 missed ones are the bound; 60,000 skipped cells have it at a rate of 0.34 %.
    assert judge(0, 898, 60_000, 20_000, 0.01, 0.05).kept is Kept.HELD
    assert judge(0, 300, 60_000, 20_000, 0.01, 0.05).kept is Kept.OPEN
    assert judge(3, 898, 60_000, 20_000, 0.01, 0.05).kept is Kept.OPEN
    broken = judge(30, 898, 60_000, 20_000, 0.01, 0.05)
    assert broken.kept is Kept.BROKEN
    assert broken.missed == pytest.approx(2004.5 / 22004.5, rel=1e-3)
    assert broken.low < broken.missed < broken.high
    assert judge(0, 0, 0, 50, 0.01, 0.05).kept is Kept.HELD
    assert judge(0, 0, 10, 50, 0.01, 0.05).kept is Kept.OPEN


@pytest.mark.parametrize("clustered", [False, True])
def test_the_promise_is_broken_in_few_of_many_draws(clustered: bool) -> None:
    broken = sum(one.missed > 0.01 for one in draws(synthetic_corpus(clustered), _LOOSE, 0.2, range(300)))
    assert broken <= 26  # of 300 at 5 %, more have a probability of 0.4 %: binom.sf(26, 300, 0.05)


def test_whole_passages_as_calibration_cells_would_break_it() -> None:
    corpus = synthetic_corpus(clustered=True)
    broken = sum(one.missed > 0.01 for one in draws(corpus, _LOOSE, 0.2, range(300), whole_passages=True))
    assert broken > 45  # three times the promised 5 %


def test_words_say_what_was_asked_and_what_would_have_to_be() -> None:
    verdict = TriageVerdict(
        salt="s", kept="held", missed=0.005, low=0.001, high=0.009, hits=2, checked=400, skipped=6_000, filled=1_990
    )
    plan = TriagePlan(phase="bound", cells=10_000, expected_skipped=0.61, expected_saved=0.5)
    triage = ReportedTriage(plan=plan, verdict=verdict, promise=TriagePromise(max_missed=0.01), left_out=True)
    whole = report(prompts={**report_values()["prompts"], "prompts_to_ask": 3_000, "prompts_skipped": 6_000})
    planned, checked, least = format_report(whole.model_copy(update={"triage": triage}))
    assert planned.startswith("6,000 of 10,000 prompts (60.0%) are skipped, 3,000 are asked now")
    assert planned.endswith("61.0% of the prompts skipped, 50.0% of the prompt tokens saved")
    assert "was kept" in checked
    assert "4,000 of 10,000 prompts were asked" in least
    assert "fewer than 1,980," in least  # 2,000 name something, of which 20 may be missed
