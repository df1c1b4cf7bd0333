"""Gold answers in memory: per document and entity type the mentions that a perfect answer lists, as columns.

Gold is held whole, annotations never are: some 100 bytes for each document and type. Formats: a Parquet dataset, or any
that `formats.sources` reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.rows import BATCH_ROWS, check_columns, list_dataset
from uniner_dist.evaluation.sources import read_documents, source_format
from uniner_dist.evaluation.vocabulary import Mentions, Numbers, Vocabulary
from uniner_dist.formats.gold_document import GoldDocument

Small = npt.NDArray[np.int32]

#: In columns of offsets and groups: there is none.
NONE = -1


@dataclass(frozen=True)
class Gold:
    """All gold answers; a pair is a (document, entity type), and pairs are sorted by `key`.

    Args:
        documents: ids (as strings), in order of first appearance.
        types: entity types, in order of first appearance.
        groups: values of the `by` column; None: the gold has no such column.
        key: of each pair, document's number times number of types plus type's number, ascending.
        group: of each pair, the group's number, `NONE` for null.
        begin: where each pair's mentions begin, and behind the last where they end.
        mention: number of each mention in `mentions`.
        start: of each mention in code points, `NONE` where the gold has no offsets.
        end: behind its last.
        texts: document's number → text, where the gold brings texts.
        notes: how it was read, a line each.
    """

    documents: Vocabulary
    types: list[str]
    groups: Vocabulary | None
    key: Numbers
    group: Small
    begin: Numbers
    mentions: Mentions
    mention: Small
    start: Small
    end: Small
    texts: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def pairs(self) -> int:
        """Number of (document, entity type) pairs."""
        return len(self.key)

    @cached_property
    def document(self) -> Small:
        """The document's number of each pair."""
        return (self.key // max(1, len(self.types))).astype(np.int32)

    @cached_property
    def type(self) -> Small:
        """The type's number of each pair."""
        return (self.key % max(1, len(self.types))).astype(np.int32)

    @cached_property
    def owner(self) -> Small:
        """The pair of each mention."""
        return np.repeat(np.arange(self.pairs, dtype=np.int32), np.diff(self.begin))

    @property
    def has_spans(self) -> bool:
        """Whether every mention has offsets (and there is one)."""
        return bool(len(self.start)) and bool((self.start != NONE).all())

    @property
    def document_count(self) -> int:
        """Number of documents that have a pair."""
        return len(np.unique(self.document))

    def find_pairs(self, documents: Numbers, types: Numbers) -> Numbers:
        """Numbers of pairs, -1 where there is none; documents and types by their numbers, -1 if unknown."""
        keys = documents * len(self.types) + types
        if self.pairs == len(self.documents) * len(self.types):  # every document has every type
            return np.where((documents >= 0) & (types >= 0), keys, -1)
        place = np.minimum(np.searchsorted(self.key, keys), max(0, self.pairs - 1))
        known = (documents >= 0) & (types >= 0) & (self.key[place] == keys)
        return np.where(known, place, -1)

    def only(self, types: Collection[str]) -> Gold:
        """The answers for these entity types alone; a document without any of them is left out.

        Raises:
            ConfigError: a type that the gold does not know; the message lists those it knows.
        """
        unknown = [name for name in types if name not in self.types]
        if unknown:
            raise ConfigError(f"--types {', '.join(unknown)}: not in the gold, which has {', '.join(self.types)}")
        wanted = np.array([name in types for name in self.types])
        pairs = np.flatnonzero(wanted[self.type])
        kept = wanted[self.type][self.owner]
        counts = np.diff(self.begin)[pairs]
        return Gold(
            self.documents,
            self.types,
            self.groups,
            self.key[pairs],
            self.group[pairs],
            np.concatenate([[0], np.cumsum(counts)]),
            self.mentions,
            self.mention[kept],
            self.start[kept],
            self.end[kept],
            self.texts,
            self.notes,
        )

    def types_there(self) -> list[str]:
        """Types that have a pair, in order of first appearance."""
        return [self.types[number] for number in np.unique(self.type)]

    def answers(self) -> dict[str, dict[str, list[str]]]:
        """Document id → entity type → mentions, each once; for small gold."""
        found: dict[str, dict[str, list[str]]] = {}
        for pair in range(self.pairs):
            inside = slice(self.begin[pair], self.begin[pair + 1])
            mentions = dict.fromkeys(self.mentions.strings[number] for number in self.mention[inside])
            document = found.setdefault(self.documents.strings[self.document[pair]], {})
            document[self.types[self.type[pair]]] = list(mentions)
        return found


class GoldBuilder:
    """Collects pairs and their mentions in any order."""

    def __init__(self, groups: bool = False) -> None:
        self.documents, self.types, self.mentions = Vocabulary(), Vocabulary(), Mentions()
        self.groups = Vocabulary() if groups else None
        self.texts: dict[int, str] = {}
        self._pairs: list[tuple[npt.NDArray[Any], ...]] = []
        self._mentions: list[tuple[Numbers, Numbers, Numbers]] = []

    def add(self, documents: pa.Array, types: pa.Array, entities: pa.Array, groups: pa.Array | None = None) -> None:
        """Pairs as Arrow arrays; `entities` are lists of strings or of structs with `text`, `start`, `end`."""
        counts = entities.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = entities.flatten()
        if pa.types.is_struct(flat.type):
            texts = flat.field("text") if not flat.null_count else flat.flatten()[flat.type.get_field_index("text")]
            places = [self._places(flat, name) for name in ("start", "end")]
        else:
            texts, places = flat, [np.full(len(flat), NONE, dtype=np.int64)] * 2
        known = self.groups.numbers(groups) if self.groups is not None and groups is not None else None
        group = np.full(len(counts), NONE, dtype=np.int64) if known is None else known
        columns = (self.documents.numbers(documents), self.types.numbers(types), counts, group)
        self._pairs.append(tuple(column.astype(np.int32) for column in columns))
        self._mentions.append((self.mentions.numbers(texts), places[0], places[1]))

    def add_documents(self, documents: Iterable[GoldDocument]) -> None:
        """Documents of a foreign file."""
        for document in documents:
            number = self.documents.number(document.doc_id)
            self.texts[number] = document.text
            for name, entities in document.answers.items():
                items = [one if isinstance(one, Mapping) else {"text": one} for one in entities]
                places = [(NONE if one.get("start") is None else one["start"], one.get("end")) for one in items]
                self._pairs.append((_one(number), _one(self.types.number(name)), _one(len(items)), _one(NONE)))
                self._mentions.append(
                    (
                        np.array([self.mentions.number(one["text"]) for one in items], dtype=np.int64),
                        np.array([start for start, _ in places], dtype=np.int64),
                        np.array([NONE if end is None else end for _, end in places], dtype=np.int64),
                    )
                )

    def build(self, path: str, notes: Sequence[str] = ()) -> Gold:
        """The gold, sorted.

        Raises:
            ConfigError: no pair, or one that stands twice.
        """
        if not self._pairs or not sum(len(one[0]) for one in self._pairs):
            raise ConfigError(f"gold {path}: holds no rows")
        document, kind, counts, group = (np.concatenate(column) for column in zip(*self._pairs, strict=True))
        mention, start, end = (np.concatenate(column) for column in zip(*self._mentions, strict=True))
        if (mention < 0).any():
            raise ConfigError(f"gold {path}: a mention has no text")
        self._pairs, self._mentions = [], []
        key = document.astype(np.int64) * len(self.types) + kind
        del document, kind
        order = np.argsort(key, kind="stable")
        self._check(path, key[order])
        first = np.concatenate([[0], np.cumsum(counts)])[:-1]
        begin = np.concatenate([[0], np.cumsum(counts[order])])
        gather = np.repeat(first[order] - begin[:-1], counts[order]) + np.arange(begin[-1])
        return Gold(
            self.documents,
            self.types.strings,
            self.groups,
            key[order],
            group[order].astype(np.int32),
            begin,
            self.mentions,
            mention[gather].astype(np.int32),
            start[gather].astype(np.int32),
            end[gather].astype(np.int32),
            self.texts,
            notes,
        )

    def _check(self, path: str, key: Numbers) -> None:
        twice = np.flatnonzero(key[1:] == key[:-1])
        if len(twice):
            number, kind = divmod(int(key[twice[0]]), len(self.types))
            document, name = self.documents.strings[number], self.types.strings[kind]
            raise ConfigError(f"gold {path}: document {document}, type {name} stands more than once")

    @staticmethod
    def _places(structs: pa.Array, name: str) -> Numbers:
        if structs.type.get_field_index(name) < 0:
            return np.full(len(structs), NONE, dtype=np.int64)
        values = structs.flatten()[structs.type.get_field_index(name)]
        numbers: Numbers = values.cast(pa.int64()).fill_null(NONE).to_numpy(zero_copy_only=False)
        return numbers


def _one(value: int) -> Numbers:
    return np.array([value], dtype=np.int64)


def read_gold(path: str, id_column: str = "doc_id", by: str | None = None) -> Gold:
    """Gold from a Parquet dataset, or from files of another format.

    Parquet has the id column, `entity_type`, and `entities`: a list of strings, or of structs with `text`, `start`,
    `end`; a null list is an empty one.

    Raises:
        ConfigError: unreadable, columns missing, a null id or type, a pair that stands twice.
    """
    kind = source_format(path)
    if kind is None:
        return _from_parquet(path, id_column, by)
    documents, notes = read_documents(path, kind)
    builder = GoldBuilder()
    builder.add_documents(documents)
    return builder.build(path, notes.lines())


def _from_parquet(path: str, id_column: str, by: str | None) -> Gold:
    files = list_dataset("gold", path)
    wanted = (id_column, "entity_type", "entities")
    builder = GoldBuilder(groups=by is not None and all(by in file.columns for file in files))
    for file in files:
        check_columns("gold", path, file, wanted)
        for batch in file.batches([*wanted, *([by] if by and builder.groups is not None else [])], BATCH_ROWS):
            columns: list[Any] = list(batch.columns)
            if columns[0].null_count or columns[1].null_count:
                raise ConfigError(f"gold {path}: a row has no {id_column} or no entity_type ({file.path})")
            groups = columns[3].cast(pa.string()) if len(columns) > 3 else None
            builder.add(columns[0].cast(pa.string()), columns[1].cast(pa.string()), columns[2], groups)
    return builder.build(path)
