"""Score published annotations against gold answers.

Annotations are streamed file by file and only the rows of gold documents are looked at; gold is held in memory. Every
(document, entity type) of the gold is scored exactly once: what has no annotation counts as an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.answer import Row
from uniner_dist.evaluation.gold import Gold, read_gold
from uniner_dist.evaluation.rows import DataFile, check_columns, list_dataset
from uniner_dist.evaluation.tally import Tally

_NEEDED = ("entity_type", "entities", "outcome")
#: Read where they are there.
_OPTIONAL = ("raw_output", "score")


def evaluate(
    annotations: str,
    gold: str,
    id_column: str = "doc_id",
    by: str | None = None,
    types: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Scores of annotations against gold answers.

    Args:
        annotations: the published dataset (Parquet, any fsspec path).
        gold: Parquet with the id column, `entity_type` and `entities` (list of strings, or of text, start and end);
            or CoNLL or JSON files whose documents have been imported with `import_gold`.
        id_column: column of the document ids in both; ids are compared as strings.
        by: a column of the gold or, failing that, of the annotations, such as `domain`: scores per value of it.
        types: score only these entity types of the gold; default all of them.

    Returns:
        `official`, `strict` and `relaxed` (None without offsets), each with `precision`, `recall`, `f1`, `counts` and
        bootstrap `intervals`; the same per type in `by_type` and per value in `by`; `pairs`, `outcomes`, `confidence`
        and `worst`: see docs/evaluation.md. Only strings, numbers, lists and mappings, ready for JSON.

    Raises:
        ConfigError: something is not there or not readable.
    """
    answers = read_gold(gold, id_column, by)
    if types is not None:
        answers = answers.only(types)
    files = list_dataset("annotations", annotations)
    check_columns("annotations", annotations, files[0], (id_column, *_NEEDED))
    group = by if by and not answers.has_group else None
    if group:
        _check_group(group, gold, annotations, files[0])
    tally = Tally(answers)
    for row in _rows(files, id_column, answers, group, tally):
        tally.add(row)
    return {"annotations": annotations, "gold": gold, "by_column": by, **tally.scores(with_groups=by is not None)}


def _check_group(by: str, gold: str, annotations: str, file: DataFile) -> None:
    if by not in file.columns:
        raise ConfigError(f"--by {by}: no such column, neither in gold {gold} nor in annotations {annotations}")


def _rows(files: Sequence[DataFile], id_column: str, gold: Gold, group: str | None, tally: Tally) -> Iterator[Row]:
    """Rows of gold documents; the others are counted from the batch alone."""
    ids, types = pa.array(gold.documents, pa.string()), set(gold.types)
    for file in files:
        if "entity_type" in file.folders and file.folders["entity_type"] not in types:
            tally.without_gold += file.rows
            continue
        optional = [name for name in _OPTIONAL if name in file.columns]
        columns = [id_column, *_NEEDED, *optional, *([group] if group else [])]
        for batch in file.batches(columns):
            keys = pc.cast(batch.column(0), pa.string())
            known = batch.filter(pc.is_in(keys, value_set=ids))
            tally.without_gold += batch.num_rows - known.num_rows
            yield from (_row(value, id_column, group) for value in known.to_pylist())


def _row(value: Mapping[str, Any], id_column: str, group: str | None) -> Row:
    return Row(
        doc_id=str(value[id_column]),
        entity_type=str(value["entity_type"]),
        entities=value["entities"] or (),
        outcome=value["outcome"],
        raw_output=value.get("raw_output"),
        score=value.get("score"),
        group=str(value[group]) if group and value[group] is not None else None,
    )
