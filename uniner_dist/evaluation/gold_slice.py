"""The gold slice of the gate: which documents, what a perfect answer to them is, and their texts where they are known.

Returns answers by document and label, in memory, as gold is small. Gold of other formats contains its texts; those of
Parquet gold are in `gate.corpus`, or else in the corpus itself, which only Spark reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.rows import DataFile, check_columns, list_dataset
from uniner_dist.formats.sources import read_source, source_format

#: Names of the columns that `import_gold` writes; used where a dataset does not have the corpus's own.
_ID_COLUMN, _TEXT_COLUMN = "doc_id", "text"


@dataclass(frozen=True)
class GoldSlice:
    """Gold answers of the labels that are asked.

    Args:
        answers: document id (as a string) → label → mentions.
        texts: document id → text; empty when the texts are those of the corpus itself.
        source: where the texts are from: "gate.corpus", "gate.gold" or "corpus".
    """

    answers: Mapping[str, Mapping[str, Sequence[str]]]
    texts: Mapping[str, str]
    source: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that have gold, in order of first appearance."""
        return tuple(dict.fromkeys(label for answers in self.answers.values() for label in answers))


def read_gold_slice(config: Config) -> GoldSlice | None:
    """Read the gold of `gate.gold`, restricted to the labels of the run.

    Args:
        config: its `gate.gold` and `gate.corpus` are read; its labels and the names of the corpus's columns apply.

    Returns:
        Answers and texts of the documents that have gold for a label; None where `gate.gold` is not set.

    Raises:
        ConfigError: unreadable, none of its types is a label, or `gate.corpus` has none of its documents.
    """
    path = config.gate.gold
    if path is None:
        return None
    kind = source_format(path)
    texts: Mapping[str, str] = {}
    if kind:
        documents = read_source(path, kind)
        answers = {d.doc_id: {name: list(map(_text, items)) for name, items in d.answers.items()} for d in documents}
        texts = {document.doc_id: document.text for document in documents}
    else:
        gold = read_gold(path, _column(list_dataset("gate.gold", path)[0], config.corpus.id_column, _ID_COLUMN))
        answers = gold.answers()
    asked = _asked(config, path, answers)
    if config.gate.corpus:
        return GoldSlice(asked, _read_texts(config, config.gate.corpus, asked), "gate.corpus")
    if kind:
        return GoldSlice(asked, {doc_id: texts[doc_id] for doc_id in asked}, "gate.gold")
    return GoldSlice(asked, {}, "corpus")


def _asked(
    config: Config, path: str, answers: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, dict[str, Sequence[str]]]:
    """Answers for labels of the run, documents without any left out."""
    labels = {entity_type.label for entity_type in config.types}
    kept = {doc_id: {name: m for name, m in types.items() if name in labels} for doc_id, types in answers.items()}
    kept = {doc_id: types for doc_id, types in kept.items() if types}
    if not kept:
        theirs = ", ".join(sorted({name for types in answers.values() for name in types})[:10])
        raise ConfigError(f"gate.gold {path}: none of its types ({theirs}) is a label of --types")
    return kept


def _read_texts(config: Config, path: str, wanted: Mapping[str, object]) -> dict[str, str]:
    ids = pa.array(wanted, pa.string())
    texts: dict[str, str | None] = {}
    for file in list_dataset("gate.corpus", path):
        columns = [
            _column(file, config.corpus.id_column, _ID_COLUMN),
            _column(file, config.corpus.text_column, _TEXT_COLUMN),
        ]
        check_columns("gate.corpus", path, file, columns)
        for batch in file.batches(columns):
            keys = pc.cast(batch.column(0), pa.string())
            known = pc.is_in(keys, value_set=ids)
            texts |= dict(zip(keys.filter(known).to_pylist(), batch.column(1).filter(known).to_pylist(), strict=True))
    found = {doc_id: text for doc_id, text in texts.items() if text and text.strip()}
    if not found:
        raise ConfigError(f"gate.corpus {path}: has no text for any of the {len(wanted)} documents of gate.gold")
    return found


def _column(file: DataFile, configured: str, otherwise: str) -> str:
    return configured if configured in file.columns else otherwise


def _text(item: Any) -> str:
    return str(item if isinstance(item, str) else item["text"])
