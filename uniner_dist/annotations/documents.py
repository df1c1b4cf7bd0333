"""From answers per passage back to documents: undo the dedupe, merge the passages of long documents, explode by type.

Enters: occurrences and answers. Leaves: one row per document with a list of answers (one per label), then annotation
rows and quarantine rows. Rows are narrow: no document's text takes part. Documents of one passage, nearly all, never
reach Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from uniner_dist.annotations.answers import ANSWERS, AnswerColumns, answer_lists
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.passages import PassageAnswer, merge_passages
from uniner_dist.core.spans import Entity
from uniner_dist.run import Run
from uniner_dist.spark import spark_type

#: Long documents in one Arrow batch; one of 10 MB has some thousand passages.
DOCUMENTS_PER_BATCH = 16

#: Columns of the quarantine behind those of the document.
QUARANTINE_COLUMNS = ("entity_type", "ask", "passage_id", "start", "text", "outcome", "error", "raw_output")

_GOOD = (Outcome.FOUND.value, Outcome.NONE.value)


def whole_documents(places: DataFrame, answers: DataFrame) -> DataFrame:
    """`document`, `answers` of documents that are one passage."""
    single = places.where("passages = 1").select("document", "passage_id")
    return single.join(answers.select("passage_id", "answers"), "passage_id").select("document", "answers")


def merged_documents(places: DataFrame, answers: DataFrame, run: Run) -> DataFrame:
    """`document`, `answers` of documents that were split, their passages' answers merged."""
    parts = places.where("passages > 1").join(answers.select("passage_id", "answers"), "passage_id")
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    grouped = parts.groupBy(doc_id.alias("id")).agg(
        F.first("document").alias("document"),
        F.first("passages").alias("passages"),
        F.collect_list(F.struct("passage", "start", "answers")).alias("parts"),
    )
    schema = StructType(
        [places.schema["document"], StructField("answers", spark_type(ANSWERS.field("answers").type), False)]
    )
    return grouped.select("document", "passages", "parts").mapInArrow(merge_batches, schema)


def merge_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The function that Spark runs over Arrow batches of (`document`, `passages`, `parts`)."""
    for batch in batches:
        columns, types = AnswerColumns(), 0
        for passages, parts in zip(
            batch.column("passages").to_pylist(), batch.column("parts").to_pylist(), strict=True
        ):
            types = _merge_document(columns, passages, parts)
        if batch.num_rows:
            lists = answer_lists(columns.to_arrow(), types)
            yield pa.RecordBatch.from_arrays([batch.column("document"), lists], names=["document", "answers"])


def _merge_document(columns: AnswerColumns, passages: int, parts: Sequence[Mapping[str, Any]]) -> int:
    """Append one merged answer per label; returns how many labels there are."""
    ordered = sorted(parts, key=lambda part: part["passage"])
    found = [part["passage"] for part in ordered]
    if found != list(range(passages)):
        raise ValueError(f"a document of {passages} passages came with passages {found[:20]}")
    types = len(ordered[0]["answers"])
    for label in range(types):
        _merge_answers(columns, [(part["start"], part["answers"][label]) for part in ordered])
    return types


def _merge_answers(columns: AnswerColumns, answers: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    merged = merge_passages([_passage_answer(start, answer) for start, answer in answers])
    raw = [{"start": start, "output": a["raw_output"]} for start, a in answers if a["raw_output"] is not None]
    errors = dict.fromkeys(answer["error"] for _, answer in answers if answer["error"] is not None)
    columns.add(
        merged.outcome.value,
        merged.entities,
        merged.repair,
        merged.score,
        json.dumps(raw, ensure_ascii=False) if raw else None,
        "; ".join(errors) or None,
    )


def _passage_answer(start: int, answer: Mapping[str, Any]) -> PassageAnswer:
    entities = [Entity(**entity) for entity in answer["entities"]]
    return PassageAnswer(start, Outcome(answer["outcome"]), entities, answer["repair"], answer["score"])


def annotation_rows(documents: DataFrame, run: Run, licence: str) -> DataFrame:
    """One row per document and label: id, carried columns, and `schemas.ANNOTATION_FIELDS`.

    Model and licence also stand in the schema that Spark writes into every file's footer.
    """
    about = {"licence": licence, "identity": run.model_identity}
    answer = F.col("answer")
    exploded = documents.select("document", F.posexplode("answers").alias("label", "answer"))
    return exploded.select(
        "document.*",
        _label(run, "label").alias("entity_type"),
        *[answer.getField(name).alias(name) for name in ("entities", "outcome", "repair", "score", "raw_output")],
        F.lit(run.id).alias("run_id"),
        F.lit(run.model_name).alias("model", metadata=about),
        F.lit(run.fingerprint).alias("fingerprint"),
    )


def quarantine_rows(places: DataFrame, answers: DataFrame, run: Run) -> DataFrame:
    """One row per passage and label without a good answer, with what is needed to ask again."""
    failed = answers.where("text IS NOT NULL")
    cells = places.join(failed, "passage_id").select(
        "document", "passage_id", "start", "text", F.posexplode("answers").alias("label", "answer")
    )
    answer = F.col("answer")
    ours = {
        "entity_type": _label(run, "label"),
        "ask": _label(run, "ask"),
        "passage_id": F.col("passage_id"),
        "start": F.col("start"),
        "text": F.col("text"),
        "outcome": answer.getField("outcome"),
        "error": answer.getField("error"),
        "raw_output": answer.getField("raw_output"),
    }
    kept = cells.where(~answer.getField("outcome").isin(*_GOOD))
    columns = [ours[name].alias(name) for name in QUARANTINE_COLUMNS]
    return kept.select(*_document_fields(cells, set(QUARANTINE_COLUMNS)), *columns)


def _document_fields(rows: DataFrame, taken: set[str]) -> list[Column]:
    """Fields of `document` as columns; one that has the name of a column of ours gets `document_` in front."""
    fields = rows.schema["document"].dataType.fields  # type: ignore[attr-defined]
    names = {f.name: f"document_{f.name}" if f.name.lower() in taken else f.name for f in fields}
    return [F.col("document").getField(name).alias(shown) for name, shown in names.items()]


def _label(run: Run, attribute: str) -> Column:
    """The configured label (or question) at the position that the exploded row has in `label`."""
    values = F.array(*[F.lit(getattr(entity_type, attribute)) for entity_type in run.config.types])
    return F.element_at(values.cast(ArrayType(StringType())), F.col("label") + 1)
