"""Documents (or pairs) by their counts: how many have two correct mentions of three, and so on. Most counts repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.core.scoring import Counts, bootstrap_kinds
from uniner_dist.evaluation.figures import MentionCounts, Score, ScoreIntervals
from uniner_dist.evaluation.vocabulary import Numbers

Column = npt.NDArray[Any]

#: Number of possible kinds up to which they are counted in a dense table.
_TABLE: Final = 1_000_000
_LARGEST: Final = 2**62


@dataclass(frozen=True)
class Kinds:
    """Different counts, ascending (shape: kinds × (correct, predicted, gold)), and how many have each."""

    counts: Numbers
    numbers: Numbers

    def score(self) -> Score:
        """Return precision, recall and F1 of all of them together, with bootstrap intervals."""
        total = Counts(*(self.numbers @ self.counts).tolist())
        return Score(
            precision=total.precision,
            recall=total.recall,
            f1=total.f1,
            counts=MentionCounts(correct=total.correct, predicted=total.predicted, gold=total.gold),
            intervals=ScoreIntervals(**bootstrap_kinds(self.counts, self.numbers)),
        )


def kinds_by(group: Column, columns: Sequence[Column], sizes: Sequence[int]) -> list[Kinds]:
    """Count the kinds of each group.

    Args:
        group: number of each row's group, from 0 to `len(sizes) - 1`.
        columns: correct, predicted and gold mentions of each row.
        sizes: number of documents (or pairs) in each group; those that are no row have no mentions.

    Returns:
        The kinds of each group, in the order of `sizes`.
    """
    table, numbers = _distinct([group, *columns])
    borders = np.searchsorted(table[:, 0], np.arange(len(sizes) + 1))
    found = []
    for size, low, high in zip(sizes, borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        counts, there = table[low:high, 1:], numbers[low:high].copy()
        others = size - int(there.sum())
        if others and len(counts) and not counts[0].any():
            there[0] += others
        elif others:
            counts = np.concatenate([np.zeros((1, 3), np.int64), counts])
            there = np.concatenate([[others], there])
        found.append(Kinds(counts, there))
    return found


def _distinct(columns: Sequence[Column]) -> tuple[Numbers, Numbers]:
    """The different rows of columns, ascending, and how often each occurs."""
    widths = [int(column.max(initial=0)) + 1 for column in columns]
    space = 1
    for width in widths:
        space *= width
    if space > _LARGEST:
        return np.unique(np.stack(columns, axis=1).astype(np.int64), axis=0, return_counts=True)
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column, width in zip(columns, widths, strict=True):
        key = key * width + column
    if space <= _TABLE:
        counted = np.bincount(key)
        keys = np.flatnonzero(counted)
        numbers = counted[keys]
    else:
        keys, numbers = np.unique(key, return_counts=True)
    rows = []
    for width in reversed(widths):
        keys, column = np.divmod(keys, width)
        rows.append(column)
    return np.stack(rows[::-1], axis=1), numbers
