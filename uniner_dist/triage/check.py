"""The check of triage: a random share of the skipped cells is asked to verify the promise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from uniner_dist.triage.binomial import interval


class Kept(StrEnum):
    """Verdict of a check on the promise."""

    HELD = "held"  # the missed share is below the bound
    BROKEN = "broken"  # it is above
    OPEN = "open"  # too few cells were asked to decide


@dataclass(frozen=True)
class Checked:
    """Result of a check.

    Attributes:
        kept: the verdict.
        missed: the estimated share of the filled cells that is missed.
        low, high: ends of its interval, each of which is wrong with probability delta at most.
    """

    kept: Kept
    missed: float
    low: float
    high: float


def judge(hits: int, asked: int, skipped: int, filled: int, bound: float, delta: float) -> Checked:
    """Judge a check.

    Args:
        hits: number of checked cells that were not empty.
        asked: number of checked cells.
        skipped: number of cells that stay skipped, of which the checked ones are a random sample.
        filled: number of cells of the run that were asked, checked ones included, and are not empty.
        bound: the share of all filled cells that may be missed.
        delta: probability that one end of the interval is wrong; both together are wrong with twice that at most.

    Returns:
        The verdict and the estimated share that is missed, with the interval of Clopper and Pearson
        (`binomial.interval`). Without skipped cells the promise is kept.
    """
    ends = interval(hits, asked, delta)
    low, high = (_share(rate * skipped, filled) for rate in ends)
    missed = _share(hits / asked * skipped if asked else 0.0, filled)
    if not skipped or high <= bound:
        return Checked(Kept.HELD, missed, low if skipped else 0.0, high if skipped else 0.0)
    return Checked(Kept.BROKEN if low > bound else Kept.OPEN, missed, low, high)


def _share(missed: float, filled: int) -> float:
    return missed / (missed + filled) if missed else 0.0
