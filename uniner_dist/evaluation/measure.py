"""Score published annotations against gold answers.

Annotations are streamed file by file and only the rows of gold documents are looked at; gold is held in memory. Every
(document, entity type) of the gold is scored exactly once: what has no annotation counts as an empty answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.figures import Scores
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.gold_columns import Gold
from uniner_dist.evaluation.rows import BATCH_ROWS, DataFile, check_columns, list_dataset, read_ahead
from uniner_dist.evaluation.tally import Tally
from uniner_dist.evaluation.vocabulary import Vocabulary
from uniner_dist.storage.control_files import record_values

_NEEDED = ("entity_type", "entities", "outcome")
#: Columns that are read if they exist.
_OPTIONAL = ("raw_output", "score")
#: Ids named in a message.
_EXAMPLES: Final = 3


def evaluate(
    annotations: str,
    gold: str,
    id_column: str = "doc_id",
    by: str | None = None,
    types: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compute scores of annotations against gold answers, as JSON has them.

    Args:
        annotations: the published dataset (Parquet, any fsspec path).
        gold: see `score`.
        id_column: column of the document ids in both; ids are compared as strings.
        by: a column of the gold or, failing that, of the annotations, such as `domain`: scores per value of it.
        types: score only these entity types of the gold; default all of them.

    Returns:
        `official`, `strict` and `relaxed` (None without offsets), each with `precision`, `recall`, `f1`, `counts` and
        bootstrap `intervals`; the same per type in `by_type` and per value in `by`; `pairs`, `outcomes`, `confidence`,
        `worst`, `coordinates`, `annotated_documents` and `read`: see docs/evaluation.md.
        Only strings, numbers, lists and mappings, ready for JSON.

    Raises:
        ConfigError: something is missing or not readable, or no document or type of the gold was annotated.
    """
    return record_values(score(annotations, gold, id_column, by, types))


def score(
    annotations: str,
    gold: str,
    id_column: str = "doc_id",
    by: str | None = None,
    types: Sequence[str] | None = None,
) -> Scores:
    """Return scores of annotations against gold answers.

    Args:
        annotations: the published dataset (Parquet, any fsspec path).
        gold: Parquet with the id column, `entity_type` and `entities` (list of strings, or of text, start and end);
            or CoNLL or JSON files whose documents have been imported with `import_gold`.
        id_column: column of the document ids in both; ids are compared as strings.
        by: a column of the gold or, failing that, of the annotations, such as `domain`: scores per value of it.
        types: score only these entity types of the gold; default all of them.

    Raises:
        ConfigError: something is missing or not readable, or no document or type of the gold was annotated.
    """
    answers = read_gold(gold, id_column, by)
    if types is not None:
        answers = answers.only(types)
    files = list_dataset("annotations", annotations)
    check_columns("annotations", annotations, files[0], (id_column, *_NEEDED))
    group = by if by and answers.groups is None else None
    if group:
        _check_group(group, gold, annotations, files[0])
    tally, there = Tally(answers), _Seen(np.zeros(len(answers.documents), dtype=bool))
    for file in files:
        _add_file(tally, answers, file, id_column, group, there)
    if not tally.any_seen:
        raise ConfigError(_nothing_matches(answers, gold, annotations, there))
    return Scores(
        **dict(tally.scores(with_groups=by is not None)),
        annotations=annotations,
        gold=gold,
        by_column=by,
        annotated_documents=int(there.documents.sum()),
        read=tuple(answers.notes),
    )


@dataclass
class _Seen:
    """Facts about the annotations: the gold documents in them, some other ids, and entity types."""

    documents: npt.NDArray[np.bool_]
    others: list[str] = field(default_factory=list)
    types: Vocabulary = field(default_factory=Vocabulary)


def _check_group(by: str, gold: str, annotations: str, file: DataFile) -> None:
    if by not in file.columns:
        raise ConfigError(f"--by {by}: no such column, neither in gold {gold} nor in annotations {annotations}")


def _add_file(tally: Tally, gold: Gold, file: DataFile, id_column: str, group: str | None, seen: _Seen) -> None:
    """Count the rows of gold documents; of a file of a type that the gold does not know only the footer is read."""
    folder = file.folders.get("entity_type")
    if folder is not None and folder not in gold.type_numbers:
        seen.types.number(folder)
        tally.without_gold += file.rows
        return
    optional = [name for name in _OPTIONAL if name in file.columns]
    columns = [id_column, *_NEEDED, *optional, *([group] if group else [])]
    encoded = ["entity_type", "outcome", *([group] if group else [])]
    for batch in read_ahead(file.batches(columns, BATCH_ROWS, encoded=encoded, without={"entities": "match"})):
        documents = gold.documents.numbers(batch.column(0), add=False)
        known = documents >= 0
        seen.documents[documents if known.all() else documents[known]] = True
        if len(seen.others) < _EXAMPLES and not known.all():
            seen.others += batch.column(0).cast(pa.string()).filter(pa.array(~known))[:_EXAMPLES].to_pylist()
        types = seen.types.numbers(batch.column(1))
        kinds = np.array([gold.type_numbers.get(name, -1) for name in seen.types.strings] + [-1])
        tally.add(batch, documents, kinds[types], batch.column(len(columns) - 1) if group else None)


def _nothing_matches(gold: Gold, gold_path: str, annotations: str, seen: _Seen) -> str:
    """Message on why no gold pair has an annotation."""
    if seen.others and not seen.documents.any():
        ids = ", ".join(map(repr, gold.documents.strings[:_EXAMPLES]))
        others = ", ".join(map(repr, seen.others[:_EXAMPLES])) or "no rows"
        return (
            f"gold {gold_path}: none of its {gold.document_count:,} documents is in the annotations {annotations}: ids "
            f"here are such as {ids}, there {others}"
        )
    return (
        f"gold {gold_path}: none of its entity types ({', '.join(gold.types_there()[:20])}) was annotated for its "
        f"documents in {annotations}, which has {', '.join(seen.types.strings[:20])}; ask with --types LABEL=phrase so "
        "that labels are those of the gold"
    )
