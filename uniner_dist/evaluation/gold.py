"""Gold answers in memory: per document and entity type the mentions that a perfect answer lists.

Gold is made by hand and therefore small (with its counts about 1 KB per document and type); it is held whole,
annotations never are. Formats: a Parquet dataset, CoNLL files, and the JSON files of the UniversalNER authors (see
`sources`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from uniner_dist.core.scoring import Span, official_mentions
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.rows import DataFile, check_columns, list_dataset
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.sources import read_source, source_format


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """The answer for one document and entity type.

    Args:
        mentions: each string once, in order.
        official: the mentions as the authors' evaluator reads them, normalised.
        spans: (start, end) in code points of the document's text; None where the gold has no offsets.
        group: value of the `by` column, None when there is none.
    """

    mentions: tuple[str, ...]
    official: tuple[str, ...]
    spans: frozenset[Span] | None = None
    group: str | None = None


@dataclass
class Gold:
    """All gold answers.

    Args:
        documents: id (as a string) → entity type → answer.
        has_group: whether the gold itself has the `by` column.
    """

    documents: dict[str, dict[str, GoldAnswer]] = field(default_factory=dict)
    has_group: bool = False

    def only(self, types: Collection[str]) -> Gold:
        """The answers for these entity types alone; a document without any of them is left out.

        Raises:
            ConfigError: a type that the gold does not know; the message lists those it knows.
        """
        unknown = [name for name in types if name not in self.types]
        if unknown:
            raise ConfigError(f"--types {', '.join(unknown)}: not in the gold, which has {', '.join(self.types)}")
        kept = {
            doc_id: {name: answer for name, answer in answers.items() if name in types}
            for doc_id, answers in self.documents.items()
        }
        return Gold({doc_id: answers for doc_id, answers in kept.items() if answers}, self.has_group)

    @property
    def pairs(self) -> int:
        """Number of (document, entity type) pairs."""
        return sum(map(len, self.documents.values()))

    @property
    def types(self) -> list[str]:
        """Entity types in order of first appearance."""
        return list(dict.fromkeys(name for answers in self.documents.values() for name in answers))

    @property
    def has_spans(self) -> bool:
        """Whether every mention has offsets (and there is one)."""
        answers = [answer for document in self.documents.values() for answer in document.values()]
        return any(answer.mentions for answer in answers) and all(answer.spans is not None for answer in answers)


def read_gold(path: str, id_column: str = "doc_id", by: str | None = None) -> Gold:
    """Gold from a Parquet dataset, or from CoNLL or JSON files.

    Parquet has the id column, `entity_type`, and `entities`: a list of strings, or of structs with `text`, `start`,
    `end`; a null list is an empty one.

    Raises:
        ConfigError: unreadable, columns missing, a null id or type, a pair that stands twice.
    """
    kind = source_format(path)
    gold = _from_documents(read_source(path, kind)) if kind else _from_parquet(path, id_column, by)
    if not gold.documents:
        raise ConfigError(f"gold {path}: holds no rows")
    return gold


def gold_answer(entities: Iterable[str | Mapping[str, Any]], group: str | None = None) -> GoldAnswer:
    """An answer from strings, or from mappings with `text`, `start`, `end` (offsets may be null)."""
    items = list(entities)
    texts = [item if isinstance(item, str) else item["text"] for item in items]
    places = [(None, None) if isinstance(item, str) else (item.get("start"), item.get("end")) for item in items]
    spans = frozenset((start, end) for start, end in places if start is not None and end is not None)
    complete = all(start is not None and end is not None for start, end in places)
    mentions = tuple(dict.fromkeys(texts))
    return GoldAnswer(mentions, _official(mentions), spans if complete else None, group)


def _official(mentions: tuple[str, ...]) -> tuple[str, ...]:
    """What the authors' evaluator makes of gold, which they keep as the JSON string that a perfect answer is.

    So a mention with `]` empties the list, there too.
    """
    return tuple(official_mentions(json.dumps(mentions, ensure_ascii=False))) if mentions else ()


def _from_documents(documents: Iterable[GoldDocument]) -> Gold:
    return Gold(
        {
            document.doc_id: {name: gold_answer(entities) for name, entities in document.answers.items()}
            for document in documents
        }
    )


def _from_parquet(path: str, id_column: str, by: str | None) -> Gold:
    files = list_dataset("gold", path)
    wanted = (id_column, "entity_type", "entities")
    gold = Gold(has_group=by is not None and all(by in file.columns for file in files))
    for file in files:
        check_columns("gold", path, file, wanted)
        for doc_id, entity_type, entities, group in _rows(file, wanted, by if gold.has_group else None):
            if doc_id is None or entity_type is None:
                raise ConfigError(f"gold {path}: a row has no {id_column} or no entity_type ({file.path})")
            answers = gold.documents.setdefault(str(doc_id), {})
            if entity_type in answers:
                raise ConfigError(f"gold {path}: document {doc_id}, type {entity_type} stands more than once")
            answers[entity_type] = gold_answer(entities or (), None if group is None else str(group))
    return gold


def _rows(file: DataFile, columns: tuple[str, ...], by: str | None) -> Iterable[tuple[Any, Any, Any, Any]]:
    for batch in file.batches([*columns, *([by] if by else [])]):
        values = [column.to_pylist() for column in batch.columns]
        yield from zip(*values[:3], values[3] if by else [None] * batch.num_rows, strict=True)
