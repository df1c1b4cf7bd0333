"""Gold answers in memory: per document and entity type the mentions that a perfect answer lists, as columns.

Gold is held whole, annotations never are: some 30 bytes for each mention, and 8 for each document and type unless every
document has every type. `gold_builder` makes it from rows, `gold` from files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.vocabulary import Mentions, Numbers, Small, Vocabulary

#: In columns of offsets and groups: there is none.
NONE = -1
#: Largest ratio of documents × types to gold pairs for which a dense table is used.
_TABLE = 8


@dataclass(frozen=True)
class Gold:
    """All gold answers; a pair is a (document, entity type), and pairs are sorted by their keys.

    Args:
        documents: ids (as strings), in order of first appearance.
        types: entity types, in order of first appearance.
        groups: values of the `by` column; None: the gold has no such column.
        pairs: number of pairs.
        keys: of each pair, document's number times number of types plus type's number, ascending; None: every document
            has every type, and a pair's number is its key.
        group: of each pair, the group's number, `NONE` for null; empty without groups.
        owner: the pair of each mention, ascending.
        mentions: their texts.
        mention: number of each mention in `mentions`.
        start: of each mention in code points, `NONE` where the gold has no offsets.
        end: one past its last.
        texts: document's number → text, where the gold brings texts.
        notes: how it was read, a line each.
    """

    documents: Vocabulary
    types: list[str]
    groups: Vocabulary | None
    pairs: int
    keys: Numbers | None
    group: Small
    owner: Small
    mentions: Mentions
    mention: Small
    start: Small
    end: Small
    texts: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def document_of(self, pairs: npt.NDArray[Any]) -> Numbers:
        """Return the documents' numbers of some pairs.

        Args:
            pairs: numbers of pairs, in any order.
        """
        found: Numbers = self._key_of(pairs) // max(1, len(self.types))
        return found

    def type_of(self, pairs: npt.NDArray[Any]) -> Numbers:
        """Return the types' numbers of some pairs.

        Args:
            pairs: numbers of pairs, in any order.
        """
        found: Numbers = self._key_of(pairs) % max(1, len(self.types))
        return found

    def _key_of(self, pairs: npt.NDArray[Any]) -> Numbers:
        keys: Numbers = pairs if self.keys is None else self.keys[pairs]
        return keys

    @property
    def all_pairs(self) -> Numbers:
        """The number of every pair."""
        return np.arange(self.pairs, dtype=np.int64)

    @cached_property
    def type_numbers(self) -> dict[str, int]:
        """Numbers of the entity types."""
        return {name: number for number, name in enumerate(self.types)}

    @cached_property
    def pairs_of_type(self) -> Numbers:
        """How many pairs each type has."""
        if self.keys is None:
            return np.full(len(self.types), len(self.documents), dtype=np.int64)
        return np.bincount(self.keys % len(self.types), minlength=len(self.types))

    @cached_property
    def has_spans(self) -> bool:
        """Whether every mention has offsets (and there is one)."""
        return bool(len(self.start)) and bool((self.start != NONE).all())

    @cached_property
    def document_count(self) -> int:
        """Number of documents that have a pair."""
        if self.keys is None:
            return len(self.documents)
        return int(np.count_nonzero(np.diff(self.document_of(self.all_pairs), prepend=-1)))

    def find_pairs(self, documents: npt.NDArray[Any], types: npt.NDArray[Any]) -> Numbers:
        """Return the numbers of pairs, -1 where there is no such pair.

        Args:
            documents: number in `documents` of each pair's document; -1 if unknown.
            types: number in `types` of each pair's entity type; -1 if unknown. Same length.
        """
        keys: Numbers = documents.astype(np.int64) * len(self.types) + types
        unknown = (documents < 0) | (types < 0)
        if unknown.any():
            keys[unknown] = -1
        if self.keys is None:
            return keys
        if self._numbers is not None:
            found: Numbers = self._numbers[keys].astype(np.int64)
            return found
        place = np.minimum(np.searchsorted(self.keys, keys), max(0, self.pairs - 1))
        return np.where(self.keys[place] == keys, place, -1)

    @cached_property
    def _numbers(self) -> Small | None:
        """Of each document and type the pair, -1 where there is none, and -1 after the last; None: too long."""
        size = len(self.documents) * len(self.types)
        if self.keys is None or size > _TABLE * max(self.pairs, 100_000):
            return None
        numbers = np.full(size + 1, -1, dtype=np.int32)
        numbers[self.keys] = np.arange(self.pairs, dtype=np.int32)
        return numbers

    def only(self, types: Collection[str]) -> Gold:
        """Return the answers for these entity types alone; a document without any of them is left out.

        Numbers of documents and types stay the same, so `documents` and `types` may list some that have no pair.

        Args:
            types: entity types to keep.

        Raises:
            ConfigError: a type that the gold does not know; the message lists those it knows.
        """
        unknown = [name for name in types if name not in self.types]
        if unknown:
            raise ConfigError(f"--types {', '.join(unknown)}: not in the gold, which has {', '.join(self.types)}")
        wanted = np.array([name in types for name in self.types])
        pairs = np.flatnonzero(wanted[self.type_of(self.all_pairs)])
        kept = wanted[self.type_of(self.owner)]
        return Gold(
            self.documents,
            self.types,
            self.groups,
            len(pairs),
            self._key_of(pairs),
            self.group[pairs] if len(self.group) else self.group,
            np.searchsorted(pairs, self.owner[kept]).astype(np.int32),
            self.mentions,
            self.mention[kept],
            self.start[kept],
            self.end[kept],
            self.texts,
            self.notes,
        )

    def types_there(self) -> list[str]:
        """Return the types that have a pair, in order of first appearance."""
        return [self.types[number] for number in np.flatnonzero(self.pairs_of_type)]

    def answers(self) -> dict[str, dict[str, list[str]]]:
        """Return document id → entity type → mentions, each once and in the gold's order; for small gold."""
        found: dict[str, dict[str, list[str]]] = {}
        begin = np.searchsorted(self.owner, np.arange(self.pairs + 1)).tolist()
        documents, types = self.document_of(self.all_pairs).tolist(), self.type_of(self.all_pairs).tolist()
        for pair, (document, kind) in enumerate(zip(documents, types, strict=True)):
            inside = self.mention[begin[pair] : begin[pair + 1]].tolist()
            mentions = dict.fromkeys(self.mentions.strings[number] for number in inside)
            found.setdefault(self.documents.strings[document], {})[self.types[kind]] = list(mentions)
        return found
