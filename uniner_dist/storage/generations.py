"""Rule for the numbers of a lease's claims that are believed. Pure; nothing is read.

A claim that somebody creates with the highest possible number could not be followed by another one, and would hold the
lease for ever. So no number is believed that is further than `REACHABLE` from the one below it: to reach the highest
one takes as many files as there are such steps, 10**9 with numbers of 18 digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: A lease that is taken every second reaches this number after 30 years.
REACHABLE: Final = 10**9


def highest_believed(numbers: Iterable[int]) -> int:
    """Return the highest number that claims can have come to, in steps of at most `REACHABLE`; 0 without any.

    Args:
        numbers: generations of the claims in a lease's folder, in any order; where even the lowest is above
            `REACHABLE`, the result is 0 too.
    """
    highest = 0
    for number in sorted(numbers):
        if number - highest > REACHABLE:
            break
        highest = number
    return highest
