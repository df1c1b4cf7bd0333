"""Builds gold from rows: pairs and mentions are collected in any order and sorted once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold_columns import NONE, Gold
from uniner_dist.evaluation.vocabulary import Mentions, Numbers, Small, Vocabulary
from uniner_dist.formats.gold_document import GoldDocument

#: Largest ratio of documents × types to pairs for which pairs are counted in a dense table.
_TABLE: Final = 8


class GoldBuilder:
    """Collects pairs and their mentions in any order.

    Args:
        groups: whether the pairs have groups (values of the `by` column).
    """

    def __init__(self, groups: bool = False) -> None:
        self.documents, self.types, self.mentions = Vocabulary(), Vocabulary(), Mentions()
        self.groups = Vocabulary() if groups else None
        self.texts: dict[int, str] = {}
        #: Documents, types and groups of some pairs each; and rows, starts and ends of the mentions, and their texts.
        self._pairs: list[tuple[Small, Small, Small]] = []
        self._mentions: list[tuple[npt.NDArray[Any], ...]] = []
        self._texts: list[pa.Array] = []
        self._rows = 0

    def add(self, documents: pa.Array, types: pa.Array, entities: pa.Array, groups: pa.Array | None = None) -> None:
        """Add pairs that are given as Arrow arrays of equal length, one row per pair.

        Args:
            documents: ids of the documents, of any type that can be cast to strings; no nulls.
            types: entity types; no nulls.
            entities: the mentions: lists of strings, or of structs with `text` and, where there are offsets, `start`
                and `end` in code points. A null list is an empty one.
            groups: values of the `by` column; None, or a null among them, for none. Ignored by a builder without
                groups.
        """
        counts = entities.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        flat = entities.flatten()
        if pa.types.is_struct(flat.type):
            texts = flat.field("text") if not flat.null_count else flat.flatten()[flat.type.get_field_index("text")]
            places = [_places(flat, name) for name in ("start", "end")]
        else:
            texts, places = flat, [np.broadcast_to(np.int32(NONE), len(flat))] * 2
        group = self.groups.numbers(groups) if self.groups is not None and groups is not None else None
        rows = self._add_pairs(self.documents.numbers(documents), self.types.numbers(types), group, counts)
        self._mentions.append((rows, *places))
        self._texts.append(texts.cast(pa.string()))

    def add_documents(self, documents: Iterable[GoldDocument]) -> None:
        """Add the documents of a file of another format, with their texts.

        Args:
            documents: with all their answers; a document and entity type must not be added twice.
        """
        for document in documents:
            number = self.documents.number(document.doc_id)
            self.texts[number] = document.text
            for name, entities in document.answers.items():
                items = [one if isinstance(one, Mapping) else {"text": one} for one in entities]
                kind = self.types.number(name)
                rows = self._add_pairs(_column(number), _column(kind), None, np.array([len(items)]))
                places = [_column(*(_offset(one.get(which)) for one in items)) for which in ("start", "end")]
                self._mentions.append((rows, *places))
                self._texts.append(pa.array([one["text"] for one in items], pa.string()))

    def build(self, path: str, notes: Sequence[str] = ()) -> Gold:
        """Build the gold, sorted by document and entity type; the builder cannot be used afterwards.

        Args:
            path: where the rows are from, for messages.
            notes: how they were read, one line each.

        Returns:
            The gold; of each pair the mentions in the order in which they were added.

        Raises:
            ConfigError: no pair, one that occurs twice, or a mention without a text.
        """
        if not self._rows:
            raise ConfigError(f"gold {path}: holds no rows")
        row, start, end = (np.concatenate(column) for column in zip(*self._mentions, strict=True))
        mention = self.mentions.numbers_of_all(self._texts)
        self._mentions, self._texts = [], []
        if (mention < 0).any():
            raise ConfigError(f"gold {path}: a mention has no text")
        ordering = self._sort(path)
        owner = ordering.pair_of(row)
        order = np.sort(owner << 32 | np.arange(len(owner))) & 0xFFFFFFFF  # by pair, and as they came
        return Gold(
            self.documents,
            self.types.strings,
            self.groups,
            self._rows,
            ordering.keys,
            self._sorted_groups(ordering),
            owner[order].astype(np.int32),
            self.mentions,
            mention[order],
            start[order],
            end[order],
            self.texts,
            notes,
        )

    def _add_pairs(
        self, documents: Small, types: Small, groups: Small | None, counts: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Add pairs; return the row of each of their mentions."""
        none = np.broadcast_to(np.int32(NONE), len(documents))
        self._pairs.append((documents, types, none if groups is None else groups))
        first, self._rows = self._rows, self._rows + len(documents)
        return np.repeat(np.arange(first, self._rows, dtype=np.int64), counts)

    def _sort(self, path: str) -> _Ordering:
        size = len(self.documents) * len(self.types)
        rows: npt.NDArray[Any] = np.empty(self._rows, dtype=np.int32 if size < 2**31 else np.int64)
        filled = 0
        for documents, types, _ in self._pairs:
            part = rows[filled : filled + len(documents)]
            np.multiply(documents, len(self.types), out=part, casting="same_kind")
            part += types
            filled += len(documents)
        if size > _TABLE * max(len(rows), 100_000):
            keys = np.sort(rows).astype(np.int64)
            self._check(path, keys[1:][keys[1:] == keys[:-1]])
            return _Ordering(rows, keys, None)
        there = np.zeros(size, dtype=bool)
        there[rows] = True
        found = int(np.count_nonzero(there))
        if found < len(rows):
            keys = np.sort(rows)
            self._check(path, keys[1:][keys[1:] == keys[:-1]])
        if found == size:
            return _Ordering(rows, None, None)
        return _Ordering(rows, np.flatnonzero(there), np.cumsum(there, dtype=np.int32))

    def _sorted_groups(self, ordering: _Ordering) -> Small:
        if self.groups is None:
            return np.empty(0, dtype=np.int32)
        found = np.empty(self._rows, dtype=np.int32)
        found[ordering.pair_of(np.arange(self._rows))] = np.concatenate([groups for _, _, groups in self._pairs])
        return found

    def _check(self, path: str, twice: Numbers) -> None:
        if len(twice):
            number, kind = divmod(int(twice[0]), len(self.types))
            document, name = self.documents.strings[number], self.types.strings[kind]
            raise ConfigError(f"gold {path}: document {document}, type {name} occurs more than once")


@dataclass(frozen=True)
class _Ordering:
    """Which pair each row is.

    Args:
        rows: key of each row.
        keys: ascending; None: all there can be.
        counts: of all possible keys, how many up to it are there; None: too many.
    """

    rows: npt.NDArray[Any]
    keys: Numbers | None
    counts: Small | None

    def pair_of(self, rows: Numbers) -> Numbers:
        """Numbers of the pairs of some rows."""
        keys = self.rows[rows].astype(np.int64)
        if self.keys is None:
            return keys
        if self.counts is None:
            return np.searchsorted(self.keys, keys)
        return self.counts[keys].astype(np.int64) - 1


def _places(structs: pa.Array, name: str) -> Small:
    if structs.type.get_field_index(name) < 0:
        return np.broadcast_to(np.int32(NONE), len(structs))
    values = structs.flatten()[structs.type.get_field_index(name)]
    numbers: Small = values.cast(pa.int32()).fill_null(NONE).to_numpy(zero_copy_only=False)
    return numbers


def _offset(value: int | None) -> int:
    return NONE if value is None else value


def _column(*values: int) -> Small:
    return np.array(values, dtype=np.int32)
