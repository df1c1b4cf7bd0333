"""Columns of the answered mentions so far: 12 bytes and the text of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.evaluation.row_batch import RowBatch
from uniner_dist.evaluation.vocabulary import Mentions, Small


@dataclass
class Answered:
    """Mentions that count, of all batches.

    Args:
        mentions: vocabulary of the gold, to which mentions that are new are added.
    """

    mentions: Mentions
    _places: list[tuple[Small, Small, Small]] = field(default_factory=list)
    _texts: list[pa.Array] = field(default_factory=list)
    #: Of each batch, which mentions are the answer; None for all.
    _plain: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    _raw: list[tuple[Small, Small]] = field(default_factory=list)

    def add(self, rows: RowBatch) -> None:
        """Add the mentions of a batch that count, and what its raw outputs list.

        Args:
            rows: annotations of gold pairs, none of which was added before.
        """
        columns, text, row = (rows.pair[rows.row], rows.start, rows.end), rows.text, rows.row
        if not rows.counted.all():
            columns = (columns[0][rows.counted], rows.start[rows.counted], rows.end[rows.counted])
            text, row = text.filter(pa.array(rows.counted)), row[rows.counted]
        pair, start, end = (column.astype(np.int32, copy=False) for column in columns)
        self._places.append((pair, start, end))
        self._texts.append(text)
        self._plain.append(~np.isin(row, list(rows.raw)) if rows.raw else np.broadcast_to(True, len(row)))
        if rows.raw:
            self._raw.append(_raw_mentions(rows))

    def columns(self) -> tuple[Small, Small, Small, Small]:
        """Return pair, start, end and mention of each, in the order in which they were added.

        Offsets are code points, `NONE` for a mention that is nowhere in its text. The mention is its number in
        `mentions`.
        """
        none = np.empty(0, dtype=np.int32)
        pair, start, end = (np.concatenate([none, *column]) for column in zip((none,) * 3, *self._places, strict=True))
        return pair, start, end, self.mentions.numbers_of_all(self._texts)

    def raw_pairs(self) -> list[Small]:
        """Return the pairs of the mentions that raw outputs list, one column per batch that has raw outputs."""
        return [pair for pair, _ in self._raw]

    def official(self, pair: Small, mention: Small) -> tuple[Small, Small]:
        """Select the mentions that the official metric compares.

        Where an answer has a raw output, these are the ones that the authors' evaluator reads in it.

        Args:
            pair: the pair of each mention, as `columns` returns it.
            mention: number of each mention, as `columns` returns it.

        Returns:
            Pair and mention of each: first of the answers without a raw output, then of those with one.
        """
        if not self._raw:
            return pair, mention
        plain = np.concatenate(self._plain)
        raw_pair, raw_mention = (np.concatenate(column) for column in zip(*self._raw, strict=True))
        return np.concatenate([pair[plain], raw_pair]), np.concatenate([mention[plain], raw_mention])


def _raw_mentions(rows: RowBatch) -> tuple[Small, Small]:
    """Pair and mention of what raw outputs list: the mention as written where it was located, or else normalised."""
    pairs, found, mentions = [], [], rows.mentions
    for row, names in rows.raw.items():
        low, high = np.searchsorted(rows.row, [row, row + 1])
        located = mentions.numbers(rows.text[low:high])[::-1]
        written = dict(zip(mentions.normal_of(located).tolist(), located.tolist(), strict=True))
        pairs += [int(rows.pair[row])] * len(names)
        for name in names:
            number = mentions.normal.find(name)
            found.append(written[number] if number in written else mentions.number(name))
    return np.array(pairs, dtype=np.int32), np.array(found, dtype=np.int32)
