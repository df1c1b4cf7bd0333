"""Foreign gold as a corpus to annotate and a gold dataset to score against, both Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.sources import read_documents, source_format
from uniner_dist.storage.containment import lies_in
from uniner_dist.storage.filesystem import exists, find_files, join, read_bytes, write_bytes

_FILE: Final = "part-0.parquet"
_PLACED: Final = pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())]))


def import_gold(source: str, corpus_out: str, gold_out: str) -> dict[str, Any]:
    """Write the texts and the answers of files of another format, such as CoNLL, JSON or brat, as Parquet.

    Args:
        source: a file, or a folder of files of one format.
        corpus_out: folder for the corpus: `doc_id`, `text`.
        gold_out: folder for the gold: `doc_id`, `entity_type`, `entities` (strings from JSON; text, start, end from
            CoNLL), one row per document and type, empty answers included.

    Returns:
        `documents`, `pairs`, `mentions`, `types`: the entity types in order of first appearance, and `read`: what was
        taken for what, and left out.

    Raises:
        ConfigError: unreadable source, an output folder that holds other files, or one that lies in the other.
    """
    kind = source_format(source)
    if kind is None:
        raise ConfigError(
            f"gold {source}: no CoNLL (.conll, .conllu, .bio, .tsv, .txt, …), JSON (.json, .jsonl), brat (.ann), spaCy "
            "(.spacy) or Hugging Face (.parquet, .arrow) files there; see docs/evaluation.md"
        )
    documents, notes = read_documents(source, kind)
    return {**write_gold(documents, corpus_out, gold_out), "read": notes.lines()}


def write_gold(documents: Sequence[GoldDocument], corpus_out: str, gold_out: str) -> dict[str, object]:
    """Write documents as corpus and gold.

    A file that exists with the same content is not written again.

    Args:
        documents: with ids that differ. All mentions are strings, or all are mappings with `text`, `start` and `end`.
        corpus_out: folder for the corpus; see `import_gold`.
        gold_out: folder for the gold; see `import_gold`.

    Returns:
        Numbers of `documents`, `pairs` and `mentions`; `types`: the entity types in order of first appearance.

    Raises:
        ConfigError: one of the two folders lies in the other, or holds other files.
    """
    for folder, other in ((corpus_out, gold_out), (gold_out, corpus_out)):
        _check_folder(folder)
        if lies_in(folder, other):
            raise ConfigError(f"{folder}: lies in {other}; choose two folders next to each other")
    corpus = {"doc_id": [document.doc_id for document in documents], "text": [document.text for document in documents]}
    answers = [(d.doc_id, name, entities) for d in documents for name, entities in d.answers.items()]
    gold = pa.table(
        {
            "doc_id": pa.array([doc_id for doc_id, _, _ in answers], pa.string()),
            "entity_type": pa.array([name for _, name, _ in answers], pa.string()),
            "entities": pa.array([entities for _, _, entities in answers], _entities_type(documents)),
        }
    )
    _write(corpus_out, pa.table({name: pa.array(values, pa.string()) for name, values in corpus.items()}))
    _write(gold_out, gold)
    return {
        "documents": len(documents),
        "pairs": len(answers),
        "mentions": sum(len(entities) for _, _, entities in answers),
        "types": list(dict.fromkeys(name for _, name, _ in answers)),
    }


def _entities_type(documents: Iterable[GoldDocument]) -> pa.DataType:
    mentions = (mention for d in documents for entities in d.answers.values() for mention in entities)
    first = next(mentions, "")
    return pa.list_(pa.string()) if isinstance(first, str) else _PLACED


def _check_folder(folder: str) -> None:
    others = [name for name in find_files(folder) if name != _FILE]
    if others:
        raise ConfigError(f"{folder}: holds other files ({', '.join(others[:3])}); choose an empty folder")


def _write(folder: str, table: pa.Table) -> None:
    """Write the file unless one with the same content exists: another modification time would be another corpus."""
    sink, path = pa.BufferOutputStream(), join(folder, _FILE)
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    if not (exists(path) and read_bytes(path) == content):
        write_bytes(path, content)
