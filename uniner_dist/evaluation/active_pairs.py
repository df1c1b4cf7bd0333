"""The pairs with a mention, gold or answered: most pairs have none, and need not be counted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.evaluation.vocabulary import Numbers, Small

Flags = npt.NDArray[np.bool_]


class ActivePairs:
    """Numbers of the pairs that occur in some columns of pairs, and counts of each of them.

    Args:
        pairs: number of all pairs of the gold.
        columns: numbers of pairs in [0, `pairs`), in any order and with repeats; one column for each kind of mention.
    """

    def __init__(self, pairs: int, columns: Sequence[npt.NDArray[Any]]) -> None:
        there = np.zeros(pairs, dtype=bool)
        for column in columns:
            there[column] = True
        #: Ascending.
        self.numbers: Numbers = np.flatnonzero(there)
        self._behind = np.cumsum(there, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.numbers)

    def places(self, pairs: npt.NDArray[Any]) -> Small:
        """Return the positions of pairs in `numbers`.

        Args:
            pairs: numbers of pairs, in any order and with repeats. All of them must be in `numbers`; this is not
                checked.
        """
        places: Small = self._behind[pairs] - 1
        return places

    def count(self, pairs: npt.NDArray[Any]) -> Small:
        """Return how often each of `numbers` occurs in a column of pairs; same length and order as `numbers`.

        Args:
            pairs: numbers of pairs, one for each mention; all of them in `numbers`.
        """
        return np.bincount(self.places(pairs), minlength=len(self.numbers)).astype(np.int32)
