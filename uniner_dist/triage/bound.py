"""Bound on how much may be skipped: Learn-then-Test (Angelopoulos et al., arXiv:2110.01052) by fixed sequence. Pure.

Skip sets are nested in one threshold, whose levels are fixed before anything is drawn. From "skip nothing" upward a
level passes while the misses among the filled calibration cells (those whose answer is not the empty list) are so few
that a share above the bound would give them with probability delta at most; the first that fails ends it. Levels that
pass are all true with probability 1 - delta, so the highest of them may be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.triage.binomial import misses_allowed, smallest_sample

#: Thresholds on the probability that a cell is filled, from skipping next to nothing upward.
LEVELS: npt.NDArray[np.float64] = np.geomspace(1e-6, 0.5, 300)
#: A threshold below the score of every cell.
NEVER = -1.0


#: A question is capped where it misses this share of what may be missed of it: less than all, as the calibration is to
#: confirm it. One without a bound of its own is capped where this share of all that is filled is missed. On CrossNER
#: both together skip as much as no caps or up to 3 of 100 cells more; 0.6, 0.1 and 0.4 skip less somewhere.
_CAP, _RARE_CAP = 0.4, 0.2


@dataclass(frozen=True)
class Promise:
    """Guarantee on the cells that the run would ask, with probability `1 - delta` over the draw.

    Attributes:
        missed: the most that may be missed of all filled cells, as a share.
        missed_of_type: the same of each question that is skipped at all; all of them hold together with `1 - delta`.
        include_rare: skip also questions that too few answers name anything for to bound their own share.
    """

    missed: float
    missed_of_type: float
    delta: float = 0.05
    include_rare: bool = False

    def delta_of_type(self, questions: int) -> float:
        """Return the level of one question's own bound: `delta` divided among all questions (Bonferroni).

        Args:
            questions: number of questions of the run.
        """
        return self.delta / max(questions, 1)


@dataclass(frozen=True)
class Bound:
    """The skip rule that was found, and the counts that it is based on.

    Attributes:
        thresholds: by question: cells of at most this probability are skipped; `NEVER` for a question that is asked.
        filled: calibration cells that were not empty, of questions that may be skipped.
        missed: how many of them the threshold for all questions together would skip; a question whose own threshold is
            lower skips fewer.
        rare: questions that were found too seldom to bound their own share.
    """

    thresholds: tuple[float, ...]
    filled: int
    missed: int
    rare: tuple[bool, ...]

    @property
    def skips(self) -> bool:
        """Whether anything is skipped at all."""
        return any(threshold > NEVER for threshold in self.thresholds)


def find_rare(learnt: npt.NDArray[np.bool_], calibration_cells: int, promise: Promise) -> tuple[bool, ...]:
    """Find the questions whose own share cannot be bounded, as far as the learning sample tells.

    Must be decided before the calibration cells are scored, or the skip sets would depend on them.

    Args:
        learnt: passages × questions of the learning sample, whether each is filled.
        calibration_cells: how many cells of each question will be drawn, about.
        promise: the bound per question, and the probability with which it must hold.

    Returns:
        For each question, whether too few filled cells are to be expected. True for all if the sample is empty.
    """
    needed = smallest_sample(promise.missed_of_type, promise.delta_of_type(learnt.shape[1]))
    shares = learnt.mean(axis=0) if len(learnt) else np.zeros(learnt.shape[1])
    return tuple(bool(share * calibration_cells < needed) for share in shares)


def find_caps(
    scores: npt.NDArray[np.float32], learnt: npt.NDArray[np.bool_], rare: Sequence[bool], promise: Promise
) -> tuple[float, ...]:
    """Find the thresholds beyond which too much of one question would be missed; known before the calibration is drawn.

    With them the skip sets lose what a question's own bound would take from them later, and what all questions may miss
    together is left to the others. They come from the learning sample, so the skip sets stay fixed before calibration.

    Args:
        scores: passages × questions of the learning sample, by classifiers that have not seen the passage.
        learnt: whether each is filled; same shape.
        rare: by question, whether it has no bound of its own.
        promise: the bound per question.

    Returns:
        For each question one of `LEVELS`, or `NEVER` where even the lowest level misses too much.
    """
    caps = []
    for own, filled, is_rare in zip(scores.T, learnt.T, rare, strict=True):
        share = _RARE_CAP if is_rare else _CAP * promise.missed_of_type
        counts = _misses_at_levels(own[filled].astype(np.float64))
        last = int((counts <= share * filled.sum()).sum()) - 1
        caps.append(float(LEVELS[last]) if last >= 0 else NEVER)
    return tuple(caps)


def foretell(
    scores: npt.NDArray[np.float32],
    learnt: npt.NDArray[np.bool_],
    rare: Sequence[bool],
    caps: Sequence[float],
    promise: Promise,
    calibration: float,
    margin: float = 0.0,
) -> tuple[float, ...]:
    """Predict the thresholds that `find_bound` will find, from the learning sample. They guarantee nothing.

    Args:
        scores: passages × questions of the learning sample, as `find_caps` takes them.
        learnt: whether each is filled; same shape.
        rare: by question, whether it has no bound of its own.
        caps: threshold of each question, from `find_caps`.
        promise: bounds of all questions together and of each.
        calibration: how many cells will be drawn to calibrate, of all questions together.
        margin: standard errors by which there may be more misses than predicted.

    Returns:
        The predicted threshold of each question, `NEVER` where it will be asked.
    """
    asked = np.asarray(rare, dtype=bool) & (not promise.include_rare)
    own = np.where(asked, NEVER, caps)
    each = calibration / len(rare) / max(len(learnt), 1)  # calibration cells for one cell of the learning sample
    misses = np.where(scores <= own, scores.astype(np.float64), np.inf)
    highest = _foretold(misses[learnt & ~asked], each, promise.missed, promise.delta, margin)
    delta = promise.delta_of_type(len(rare))
    for question in np.flatnonzero(~np.asarray(rare, dtype=bool)):
        of_type = misses[learnt[:, question], question]
        own[question] = min(own[question], _foretold(of_type, each, promise.missed_of_type, delta, margin))
    return tuple(float(min(one, highest)) for one in own)


def _foretold(misses: npt.NDArray[np.float64], each: float, bound: float, delta: float, margin: float) -> float:
    """The highest level that will pass, `NEVER` if none will.

    Args:
        misses: scores of filled cells of the learning sample, infinite where they are asked at every level.
        each: calibration cells for each of them.
        bound: share of filled cells that may be missed.
        delta: probability that the bound does not hold.
        margin: standard errors added to the expected misses.
    """
    allowed = misses_allowed(int(len(misses) * each), bound, delta)
    expected = _misses_at_levels(misses) * each
    likely = expected + margin * np.sqrt(expected * (1 + each))
    last = int(np.searchsorted(likely, allowed, side="right")) - 1
    return float(LEVELS[last]) if last >= 0 else NEVER


def find_bound(
    scores: npt.NDArray[np.float32],
    questions: npt.NDArray[np.int64],
    filled: npt.NDArray[np.bool_],
    rare: Sequence[bool],
    promise: Promise,
    caps: Sequence[float] | None = None,
) -> Bound:
    """Find the highest thresholds that keep the promise.

    Args:
        scores: of each calibration cell, the probability that it is filled.
        questions: the number of its question.
        filled: whether it is.
        rare: by question, see `find_rare`.
        promise: bounds of all questions together and of each, which hold with probability `1 - delta` over the draw.
        caps: by question, see `find_caps`; known before the calibration cells are looked at. None: no caps.

    Returns:
        The threshold of each question, and the counts of the calibration cells.
    """
    asked = np.asarray(rare, dtype=bool) & (not promise.include_rare)
    counted = filled & ~asked[questions]
    of = questions[counted]
    highest = np.full(len(rare), LEVELS[-1]) if caps is None else np.asarray(caps)
    misses = np.where(scores[counted] <= highest[of], scores[counted].astype(np.float64), np.inf)
    threshold, missed = _highest(misses, promise.missed, promise.delta)
    delta = promise.delta_of_type(len(rare))
    thresholds = []
    for question, is_rare in enumerate(rare):
        if asked[question]:
            own = NEVER
        elif is_rare:
            own = threshold
        else:
            own = min(threshold, _highest(misses[of == question], promise.missed_of_type, delta)[0])
        thresholds.append(min(own, float(highest[question])))
    return Bound(tuple(thresholds), int(counted.sum()), missed, tuple(map(bool, rare)))


def _highest(misses: npt.NDArray[np.float64], bound: float, delta: float) -> tuple[float, int]:
    """The highest level that passes, `NEVER` if none does, and the misses there.

    Args:
        misses: scores of the filled calibration cells, infinite where they are asked at every level.
        bound: share of filled cells that may be missed.
        delta: probability that the bound does not hold.
    """
    allowed = misses_allowed(len(misses), bound, delta)
    if allowed < 0:
        return NEVER, 0
    counts = _misses_at_levels(misses)
    failed = np.flatnonzero(counts > allowed)
    last = (int(failed[0]) if len(failed) else len(LEVELS)) - 1
    return (float(LEVELS[last]), int(counts[last])) if last >= 0 else (NEVER, 0)


def _misses_at_levels(misses: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many of these filled cells each level would skip."""
    return np.searchsorted(np.sort(misses), LEVELS, side="right")
