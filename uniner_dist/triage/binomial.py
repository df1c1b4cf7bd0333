"""Exact binomial tails, and what follows from them: sizes of samples, misses allowed, intervals. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, exp, lgamma, log, log1p


def at_most(k: int, n: int, p: float) -> float:
    """Return the probability of at most `k` hits among `n` independent draws.

    Args:
        k: number of hits; below 0 the result is 0, from `n` on it is 1.
        n: number of draws.
        p: probability of a hit in each draw.
    """
    if k < 0:
        return 0.0
    if k >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    return min(1.0, sum(exp(_log_probability(i, n, p)) for i in range(k + 1)))


def _log_probability(i: int, n: int, p: float) -> float:
    return lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log1p(-p)


def misses_allowed(n: int, bound: float, delta: float) -> int:
    """Return the most misses among `n` that a rate of `bound` or more gives with probability `delta` at most.

    With this number or fewer the rate is below the bound, at a level of `delta`. -1 if no number of misses shows that.

    Args:
        n: number of draws, each of which may be a miss.
        bound: share of misses, in [0, 1].
        delta: probability of a wrong conclusion.
    """
    total, k = 0.0, -1
    while k < n:
        total += exp(_log_probability(k + 1, n, bound)) if 0 < bound < 1 else float(bound <= 0)
        if total > delta:
            break
        k += 1
    return k


def smallest_sample(bound: float, delta: float, misses: int = 0) -> int:
    """Return the fewest draws of which `misses` may be hits: without any, `ln delta / ln(1 - bound)` rounded up.

    With as many draws and at most `misses` hits the rate is below the bound, at a level of `delta`.

    Args:
        bound: the rate that is to be refuted, above 0 and below 1.
        delta: probability of a wrong conclusion, such as 0.05. It must be small: the search goes no further than
            `misses + 2` times the draws that suffice without hits.
        misses: number of hits that the sample is to allow.
    """
    low, high = 1, ceil(log(delta) / log1p(-bound)) * (misses + 2)
    while low < high:  # the tail falls with n
        middle = (low + high) // 2
        if at_most(misses, middle, bound) <= delta:
            high = middle
        else:
            low = middle + 1
    return low


def interval(k: int, n: int, delta: float) -> tuple[float, float]:
    """Return Clopper and Pearson's interval for a rate, from `k` hits of `n`: each end is wrong with `delta` at most.

    Source: Clopper and Pearson, Biometrika 26 (1934), 404-413.

    Args:
        k: number of hits.
        n: number of draws; for 0 the interval is (0, 1).
        delta: probability that the rate is beyond one end, so the interval holds it with `1 - 2 * delta` at least.
    """
    if not n:
        return 0.0, 1.0
    low = 0.0 if k == 0 else _root(lambda p: 1 - at_most(k - 1, n, p), delta)
    high = 1.0 if k == n else _root(lambda p: -at_most(k, n, p), -delta)
    return low, high


def _root(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2
