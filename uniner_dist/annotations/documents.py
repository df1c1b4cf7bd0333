"""From answers per passage back to documents: undo the dedupe, merge the passages of long documents, explode by type.

Joins occurrences and answers into one row per document with a list of answers (one per label), and from that into
annotation rows and quarantine rows. Documents of one passage, nearly all, never reach Python, and their text is not
read: their offsets were checked against the passage, which is the document. Split documents are put together again from
their passages, and every merged offset is checked against the document as stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from uniner_dist.annotations.answers import ANSWER, ANSWERS, EMPTY_ANSWER, AnswerColumns, answer_lists, check_offsets
from uniner_dist.core.hashing import TEXT_DIGITS, passage_id
from uniner_dist.core.merge import PassageAnswer, join_passages, merge_passages
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.spans import Entity
from uniner_dist.errors import AuditError
from uniner_dist.run.provenance import describe
from uniner_dist.run.run import Run
from uniner_dist.schemas import QUARANTINE_COLUMNS, name_in_quarantine
from uniner_dist.spark.task_errors import Sealed
from uniner_dist.spark.types import column, fields_of, spark_type

#: Long documents in one Arrow batch; one of 10 MB has some thousand passages.
DOCUMENTS_PER_BATCH = 16

#: The ids of up to this many passages are sent to every task (some 20 MB); never their documents, whose columns may
#: be wide.
_BROADCAST_IDS = 200_000


#: Column of a whole answer until it is taken apart: no column of the corpus may have the name of one of ours.
_ANSWER = "entities"

_GOOD = (Outcome.FOUND.value, Outcome.NONE.value, Outcome.SKIPPED.value)


def whole_documents(occurrences: DataFrame, answers: DataFrame) -> DataFrame:
    """Return `document`, `text_digest`, `answers` of documents that are one passage.

    Args:
        occurrences: one row per occurrence of a passage in a document: `document`, `passage_id`, `passages`.
        answers: one row per passage id, as `ANSWERS`.
    """
    single = occurrences.where("passages = 1").select("document", "passage_id")
    digest = F.substring("passage_id", 1, TEXT_DIGITS).alias("text_digest")
    return single.join(answers.select("passage_id", "answers"), "passage_id").select("document", digest, "answers")


def merged_documents(occurrences: DataFrame, answers: DataFrame, run: Run, passages: int) -> DataFrame:
    """`document`, `text_digest`, `answers` of documents that were split, their passages' answers merged and checked.

    Their texts, and no others, are shuffled: with the answers of each passage, then of each document. Unless they are
    very many, all other answers are left out first, so that these are not shuffled.

    Args:
        occurrences: one row per occurrence of a passage in a document: `passage_id`, `passage`, `passages`, `start`.
        answers: one row per passage id, with the answers to all questions.
        run: names the id column, and the questions whose answers are merged.
        passages: how many the split documents have together; above 200,000 their ids are not broadcast.

    Returns:
        One row per split document; `answers` has one element per label, in the order of the configuration.

    Raises:
        AuditError: from Spark's tasks, where passages do not make up the document or a merged mention is not at its
            offsets (see `DocumentMerger`).
    """
    split = occurrences.where("passages > 1")
    if passages <= _BROADCAST_IDS:
        answers = answers.join(F.broadcast(split.select("passage_id")), "passage_id", "left_semi")
    parts = split.join(answers.select("passage_id", "answers"), "passage_id")
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    grouped = parts.groupBy(doc_id.alias("id")).agg(
        F.first("document").alias("document"),
        F.first("passages").alias("passages"),
        F.first("text_hash").alias("text_hash"),
        F.collect_list(F.struct("passage", "start", "text", "answers")).alias("parts"),
    )
    schema = StructType(
        [
            occurrences.schema["document"],
            StructField("text_digest", StringType(), False),
            StructField("answers", spark_type(ANSWERS.field("answers").type), False),
        ]
    )
    return grouped.drop("id").mapInArrow(Sealed(DocumentMerger(run.config.corpus.id_column)), schema)


class DocumentMerger:
    """The function that Spark runs over Arrow batches of (`document`, `passages`, `text_hash`, `parts`).

    Args:
        id_column: the field of `document` that names it in messages.
    """

    def __init__(self, id_column: str) -> None:
        self._id_column = id_column

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one row per split document: `document`, `text_digest`, `answers`; raises AuditError for wrong parts."""
        for batch in batches:
            if not batch.num_rows:
                continue
            columns, types = AnswerColumns(), 0
            for row in range(batch.num_rows):
                types = self._merge(columns, batch.slice(row, 1))
            lists = answer_lists(columns.to_arrow(), types)
            digests = pc.utf8_slice_codeunits(batch.column("text_hash"), 0, TEXT_DIGITS)
            columns_out = {"document": batch.column("document"), "text_digest": digests, "answers": lists}
            yield pa.RecordBatch.from_pydict(columns_out)

    def _merge(self, columns: AnswerColumns, row: pa.RecordBatch) -> int:
        """Append one merged answer per label; returns how many labels there are.

        Raises:
            AuditError: the passages are not those of the document, or a merged mention is not at its offsets.
        """
        parts = sorted(row.column("parts")[0].as_py(), key=lambda part: part["passage"])
        name = f"document {row.column('document')[0][self._id_column].as_py()!r}"
        found = [part["passage"] for part in parts]
        if found != list(range(row.column("passages")[0].as_py())):
            raise AuditError(f"{name}: its passages are {found[:20]}, not {row.column('passages')[0]}")
        try:
            text = join_passages([(part["start"], part["text"]) for part in parts])
        except ValueError as error:
            raise AuditError(f"{name}: {error}") from error
        if passage_id(text) != row.column("text_hash")[0].as_py():
            raise AuditError(f"{name}: its passages do not make up the text that was stored")
        types = len(parts[0]["answers"])
        for label in range(types):
            answers = [(part["start"], part["answers"][label] or EMPTY_ANSWER) for part in parts]
            entities = _merge_answers(columns, text, answers)
            check_offsets(name, text, entities)
        return types


def _merge_answers(
    columns: AnswerColumns, text: str, answers: Sequence[tuple[int, Mapping[str, Any]]]
) -> Sequence[Entity]:
    """Append the merged answer to one question; returns its entities."""
    merged = merge_passages(text, [_passage_answer(start, answer) for start, answer in answers])
    told = [(start, a) for start, a in answers if a["raw_output"] is not None or a["outcome"] == Outcome.SKIPPED.value]
    raw = [{"start": start, "output": answer["raw_output"]} for start, answer in told]  # null: was skipped
    errors = dict.fromkeys(answer["error"] for _, answer in answers if answer["error"] is not None)
    columns.add(
        merged.outcome.value,
        merged.entities,
        merged.repair,
        merged.score,
        json.dumps(raw, ensure_ascii=False) if raw else None,
        "; ".join(errors) or None,
    )
    return merged.entities


def _passage_answer(start: int, answer: Mapping[str, Any]) -> PassageAnswer:
    entities = [Entity(**entity) for entity in answer["entities"]]
    return PassageAnswer(start, Outcome(answer["outcome"]), entities, answer["repair"], answer["score"])


def exploded_answers(documents: DataFrame, run: Run) -> DataFrame:
    """Return one row per document and label: id, carried columns, `entity_type`, `text_digest`, and the answer.

    The answer is a struct in the column `entities`, null for `EMPTY_ANSWER`, until `annotation_rows` takes it apart.

    Args:
        documents: `document`, `text_digest`, `answers`, with one answer per label in the order of the configuration.
        run: names the labels.
    """
    exploded = documents.select("document", "text_digest", F.posexplode("answers").alias("label", "answer"))
    ours = _label(run, "label").alias("entity_type"), "text_digest", F.col("answer").alias(_ANSWER)
    return exploded.select("document.*", *ours)


def annotation_rows(exploded: DataFrame, run: Run) -> DataFrame:
    """Return id, carried columns, and `schemas.ANNOTATION_FIELDS`, made of `exploded_answers`.

    What made the rows is also stored in the schema that Spark writes into every file's footer, at the column `model`.

    Args:
        exploded: one row per document and label, from `exploded_answers`.
        run: its id, model and fingerprint go into every row.
    """
    answer = F.col(_ANSWER)
    no_entities = F.array().cast(spark_type(ANSWER.field("entities").type))
    nothing = {"entities": no_entities, "outcome": F.lit(Outcome.NONE.value)}
    filled = [F.when(answer.isNull(), value).otherwise(answer[name]).alias(name) for name, value in nothing.items()]
    return exploded.select(
        *[column(name) for name in exploded.columns if name not in ("text_digest", _ANSWER)],
        *filled,
        *[answer[name].alias(name) for name in ("repair", "score", "raw_output")],
        "text_digest",
        F.lit(run.id).alias("run_id"),
        F.lit(run.model_name).alias("model", metadata=describe(run).model_dump(mode="json", exclude_none=True)),
        F.lit(run.fingerprint).alias("fingerprint"),
    )


def quarantine_rows(occurrences: DataFrame, answers: DataFrame, run: Run, few: bool) -> DataFrame:
    """Return one row per document, passage and label without a good answer, with what is needed to ask again.

    Args:
        occurrences: one row per occurrence of a passage in a document.
        answers: one row per passage id; `text` is null where every question has a good answer.
        run: names the labels of each question and the id column.
        few: there are so few failed passages that they are broadcast to every task, and no occurrence is shuffled.

    Returns:
        Columns of the document under their names in the quarantine, then `schemas.QUARANTINE_COLUMNS`. `start` is the
        offset of the passage in its document, in code points.
    """
    failed = answers.where("text IS NOT NULL")
    if few:
        failed = F.broadcast(failed)
    cells = (
        occurrences.drop("text", "text_hash")
        .join(failed, "passage_id")
        .select("document", "passage_id", "start", "text", F.posexplode("answers").alias("label", "answer"))
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
    return kept.select(*_document_fields(cells), *columns)


def _document_fields(rows: DataFrame) -> list[Column]:
    """Fields of `document` as columns; under the names that they have in the quarantine."""
    fields = fields_of(rows, "document")
    return [F.col("document").getField(f.name).alias(name_in_quarantine(f.name)) for f in fields]


def _label(run: Run, attribute: str) -> Column:
    """The configured label (or question) at the position that the exploded row has in `label`."""
    values = F.array(*[F.lit(getattr(entity_type, attribute)) for entity_type in run.config.types])
    return F.element_at(values.cast(ArrayType(StringType())), F.col("label") + 1)
