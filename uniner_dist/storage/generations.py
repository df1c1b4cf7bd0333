"""Which numbers of claims of a lease are believed. Pure; nothing is read.

A file that somebody puts among the claims under the last of all numbers could not be followed by another one, and would
hold the lease for ever. So no number is believed that is further than `REACHABLE` from the one below it: to put the
last one there takes as many files as there are such steps, 10**9 with numbers of 18 digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: A lease that is taken every second has come so far after 30 years.
REACHABLE: Final = 10**9


def highest_believed(numbers: Iterable[int]) -> int:
    """The highest number that claims can have come to, in steps of at most `REACHABLE`; 0 without any."""
    highest = 0
    for number in sorted(numbers):
        if number - highest > REACHABLE:
            break
        highest = number
    return highest
