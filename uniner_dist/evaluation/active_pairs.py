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
        pairs: how many pairs there are.
        columns: each a column of pairs' numbers.
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
        """Positions of pairs in `numbers`; all of them must be there."""
        places: Small = self._behind[pairs] - 1
        return places

    def count(self, pairs: npt.NDArray[Any]) -> Small:
        """How often each of `numbers` occurs in a column of pairs."""
        return np.bincount(self.places(pairs), minlength=len(self.numbers)).astype(np.int32)
