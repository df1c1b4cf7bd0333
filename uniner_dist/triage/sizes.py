"""How much is asked to learn, to calibrate and to check. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p

from uniner_dist.triage.binomial import smallest_sample
from uniner_dist.triage.bound import Promise

#: Passages that a classifier learns from; twice as many skip a twentieth more on CrossNER.
_LEARNING_PASSAGES = 3_000
#: Calibration cells of each question: a question whose answers name something in 3 % is then not rare.
_CELLS_OF_TYPE = 4_000
#: Misses that the calibration is to allow: with none, half of what might be skipped is not.
_MISSES = 10
#: Answers that name something, as far as nothing is known: 11 to 27 % on the benchmarks of UniversalNER.
_FILLED, _FILLED_AT_MOST = 0.15, 0.5
#: A check without hits shows nothing but that the bound holds; with four times as many cells there may be some.
_CHECKS = 4
#: The most of what is skipped that a check asks.
_CHECKED_AT_MOST = 0.05


@dataclass(frozen=True)
class Sample:
    """Shares of what is asked first.

    Attributes:
        learning: of the passages, asked with all questions.
        calibration: of the cells of the other passages.
    """

    learning: float
    calibration: float


def plan_sample(passages: int, questions: int, cells: int, promise: Promise, fraction: float) -> Sample | None:
    """Sizes of the sample; None when the run is too small for any that would let something be skipped.

    Args:
        passages: distinct ones of the run.
        cells: those without an answer.
        fraction: of the cells, the most that may be asked first.
    """
    if not cells:
        return None
    half = fraction / 2
    learning = min(half, _LEARNING_PASSAGES / passages)
    by_bound = smallest_sample(promise.missed, promise.delta, _MISSES) / _FILLED
    wanted = max(by_bound, _CELLS_OF_TYPE * questions)
    calibration = min(half, wanted / cells)
    needed = smallest_sample(promise.missed, promise.delta)
    if calibration * cells * _FILLED_AT_MOST < needed:
        return None
    return Sample(learning, calibration)


def check_share(filled: float, skipped: float, cells: int, promise: Promise) -> float:
    """The share of the skipped cells that is asked all the same.

    Without a hit among `ln delta / ln(1 - r)` cells, the rate r at which the bound would be reached is refuted.

    Args:
        filled: share of the cells that are not empty.
        skipped: share of the cells that are skipped.
        cells: how many there are.
    """
    if filled <= 0 or skipped <= 0 or not cells:
        return 0.0
    rate = min(promise.missed * filled / skipped, 0.5)
    wanted = _CHECKS * ceil(log(promise.delta) / log1p(-rate))
    return min(_CHECKED_AT_MOST, wanted / (skipped * cells))
