"""Sizes of the learning, calibration and check samples. Pure."""

from __future__ import annotations

from math import ceil, log, log1p

from uniner_dist.triage.binomial import smallest_sample
from uniner_dist.triage.bound import Promise

#: Passages that a classifier learns from; twice as many skip a twentieth more on CrossNER.
_LEARNING_PASSAGES = 3_000
#: Calibration cells of each question: a question whose answers name something in 3 % is then not rare.
_CELLS_OF_TYPE = 4_000
#: Misses that the calibration is to allow: with none, half of what might be skipped is not.
_MISSES = 10
#: Largest share of non-empty answers in a corpus that is worth a sample; 11 to 27 % are usual.
_FILLED_AT_MOST = 0.5
#: A check without hits shows nothing but that the bound holds; with four times as many cells there may be some.
_CHECKS = 4
#: Largest share of the skipped cells that a check asks.
CHECKED_AT_MOST = 0.05


def learning_share(passages: int, cells: int, promise: Promise, fraction: float) -> float | None:
    """Return the share of the passages that is learnt from; None when the run is too small for any bound.

    Args:
        passages: number of distinct passages of the run.
        cells: number of the run's cells without an answer.
        promise: its bound and level determine the smallest sample from which anything can be concluded.
        fraction: of the cells, the most that may be asked to learn and to calibrate, half for each.
    """
    needed = smallest_sample(promise.missed, promise.delta)
    if not cells or fraction / 2 * cells * _FILLED_AT_MOST < needed:
        return None
    return min(fraction / 2, _LEARNING_PASSAGES / passages)


def calibration_share(filled: float, questions: int, cells: int, promise: Promise, fraction: float) -> float:
    """Return the share of the cells of other passages that calibrates; 0 when they are too few for any bound.

    Args:
        filled: share of the cells that are not empty, as learnt.
        questions: number of distinct questions that the run asks.
        cells: number of the run's cells without an answer.
        promise: decides how many filled cells a bound needs.
        fraction: of the cells, the most that may be asked to learn and to calibrate, half for each.
    """
    if filled <= 0:
        return 0.0
    wanted = max(smallest_sample(promise.missed, promise.delta, _MISSES) / filled, _CELLS_OF_TYPE * questions)
    share = min(fraction / 2, wanted / cells)
    return share if share * cells * filled >= smallest_sample(promise.missed, promise.delta) else 0.0


def check_share(filled: float, skipped: float, cells: int, promise: Promise) -> float:
    """Return the share of the skipped cells that is asked all the same; 0 if nothing is skipped.

    It is `CHECKED_AT_MOST` at most.

    Without a hit among `ln delta / ln(1 - r)` cells, the rate r at which the bound would be reached is refuted.

    Args:
        filled: share of the cells that are not empty.
        skipped: share of the cells that are skipped.
        cells: number of the run's cells without an answer, skipped ones included.
        promise: the bound that the check would refute.
    """
    if filled <= 0 or skipped <= 0 or not cells:
        return 0.0
    rate = min(promise.missed * filled / skipped, 0.5)
    wanted = _CHECKS * ceil(log(promise.delta) / log1p(-rate))
    return min(CHECKED_AT_MOST, wanted / (skipped * cells))
