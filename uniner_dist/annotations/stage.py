"""Stage 3 up to its audit: completions in, annotations (not yet published), quarantine and a summary out.

Everything is written into the run's own folder and may be written again at any time; nothing of the output is touched
(see `publish`). A publication that has begun is never undone: from then on the summary is only read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from uniner_dist import model
from uniner_dist.annotations import audit
from uniner_dist.annotations.answers import ANSWERS, AnswerReader
from uniner_dist.annotations.documents import (
    DOCUMENTS_PER_BATCH,
    annotation_rows,
    merged_documents,
    quarantine_rows,
    whole_documents,
)
from uniner_dist.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.spark import column, describe, settings, spark_path, spark_schema, stage, write_path
from uniner_dist.storage.filesystem import exists, join, read_json, remove, write_json
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import read_shards

#: Documents that one task turns into annotations: their exploded rows are sorted in its memory.
_DOCUMENTS_PER_TASK = 250_000


def write_annotations(spark: SparkSession, run: Run, again: bool = False) -> dict[str, Any]:
    """Parse, locate, map back to documents, write and audit.

    Args:
        again: do so although the run is published (its quarantined cells were asked again).

    Returns:
        Counts: `documents`, `types`, `rows`, `outcomes` (in all), `by_type` (label → outcome → rows), `mentions` (by
        label), `matches` (how mentions were found), `repairs`, `failed_fraction`, `quarantined`.

    Raises:
        AuditError: an invariant does not hold; the message lists all that are broken, with numbers.
        ThresholdError: more rows failed than `run.max_failed_fraction` allows.
        StageError: files are missing, or Spark failed.
    """
    summary_path = join(run.layout.root, "annotations.json")
    if exists(summary_path) and (exists(run.layout.publication) or (_is_published(run) and not again)):
        earlier: dict[str, Any] = read_json(summary_path)
        return earlier
    manifest = read_shards(run.layout)
    audit.check_committed(run, manifest)
    with stage(spark, "annotations"):
        remove(run.layout.staging)
        summary = _write(spark, run, manifest)
    write_json(summary_path, summary)
    return summary


def _is_published(run: Run) -> bool:
    marker = read_marker(run.config.output.path) or {}
    return run.id in marker.get("runs", {})


def _write(spark: SparkSession, run: Run, manifest: Any) -> dict[str, Any]:
    prompts_summary = read_json(run.layout.prompts_summary)
    places = spark.read.parquet(spark_path(run.layout.occurrences))
    answers = _write_answers(spark, run, manifest.select(["shard"]).to_pylist())
    documents = whole_documents(places, answers)
    if prompts_summary["split_documents"]:
        documents = documents.unionByName(merged_documents(places, answers, run))
    with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(DOCUMENTS_PER_BATCH)}):
        _write_rows(spark, run, documents, places)
    describe(spark, "audit the annotations")
    summary = audit.summarise(read_staged(spark, run, places), places, run, prompts_summary)
    quarantine = _write_quarantine(spark, run, places, answers, summary)
    audit.check_threshold(run, summary, quarantine)
    summary["quarantined"] = quarantine.count() if summary["failed"] else 0
    return summary


def _write_answers(spark: SparkSession, run: Run, shards: list[dict[str, Any]]) -> DataFrame:
    """Read, parse and locate every shard in Python, once, and keep the result in a file."""
    describe(spark, "parse and locate")
    types = run.config.types
    asks = tuple(dict.fromkeys(entity_type.ask for entity_type in types))
    label_asks = [asks.index(entity_type.ask) for entity_type in types]
    reader = AnswerReader(run.layout, run.fingerprint, asks, label_asks, run.config.run.scores)
    names = spark.createDataFrame([(row["shard"],) for row in shards], "shard string")
    tasks = max(1, min(len(shards), max(4 * spark.sparkContext.defaultParallelism, len(shards) // 64)))
    answers = names.repartition(tasks).mapInArrow(reader, spark_schema(ANSWERS))
    answers.write.mode("overwrite").parquet(write_path(run.layout.answers))
    return spark.read.schema(answers.schema).parquet(spark_path(run.layout.answers))


@dataclass(frozen=True)
class _Folders:
    """How the documents spread over the folders of the output, entity types aside."""

    columns: tuple[str, ...]
    sizes: DataFrame  # `columns`, `pieces`: files that a folder's documents are cut into
    pieces: int
    uniform: bool  # every folder is one piece


def _write_rows(spark: SparkSession, run: Run, documents: DataFrame, places: DataFrame) -> None:
    """Write the annotations: documents meet by folder, are exploded there, sorted and written.

    Shuffling documents with their list of answers instead of exploded rows moves their id and carried columns once.
    """
    describe(spark, "write annotations")
    folders = _count_folders(run, places)
    id_column = run.config.corpus.id_column
    rows = annotation_rows(_by_folder(documents, folders, run), run, model.licence(run.config.model))
    rows = rows.sortWithinPartitions(*[column(name) for name in (*run.partition_by, id_column)])
    writer = rows.write.mode("overwrite").option("maxRecordsPerFile", run.config.output.max_records_per_file)
    writer.partitionBy(*run.partition_by).parquet(write_path(run.layout.staging))


def _count_folders(run: Run, places: DataFrame) -> _Folders:
    """Documents per folder, as a small table: folders and counts only."""
    names = tuple(name for name in run.partition_by if name != "entity_type")
    limit = run.config.output.max_records_per_file
    per_file = limit if "entity_type" in run.partition_by else max(1, limit // len(run.config.types))
    per_piece = min(per_file, _DOCUMENTS_PER_TASK)
    fields = [F.col("document").getField(name).alias(f"folder_{i}") for i, name in enumerate(names)]
    first = places.where("passage = 0").select(*fields)
    sizes = first.groupBy(*first.columns).agg(F.ceil(F.count("*") / F.lit(per_piece)).cast("int").alias("pieces"))
    totals = sizes.agg(F.sum("pieces"), F.max("pieces")).first()
    pieces, most = (int(totals[0] or 1), int(totals[1] or 1)) if totals else (1, 1)
    return _Folders(names, sizes, pieces, most == 1)


def _by_folder(documents: DataFrame, folders: _Folders, run: Run) -> DataFrame:
    """Bring together the documents of a folder, those of a big one in several pieces."""
    document = F.col("document")
    keys = [document.getField(name) for name in folders.columns]
    if folders.uniform:
        return documents.repartition(folders.pieces, *keys)
    same = F.lit(True)
    for i, key in enumerate(keys):
        same = same & key.eqNullSafe(F.col(f"folder_{i}"))
    sized = documents.join(F.broadcast(folders.sizes), same)
    doc_id = document.getField(run.config.corpus.id_column)
    piece = F.pmod(F.xxhash64(doc_id), F.col("pieces"))
    return sized.repartition(folders.pieces, *keys, piece).select("document", "answers")


def read_staged(spark: SparkSession, run: Run, places: DataFrame) -> DataFrame:
    """The annotations as written, every column (folder ones too) with the type it was written with."""
    document = places.schema["document"].dataType.fields  # type: ignore[attr-defined]
    fields = StructType([*document, *spark_schema(pa.schema(ANNOTATION_FIELDS))])
    return spark.read.schema(fields).parquet(spark_path(run.layout.staging))


def _write_quarantine(
    spark: SparkSession, run: Run, places: DataFrame, answers: DataFrame, summary: dict[str, Any]
) -> DataFrame:
    """Write `quarantine/`, an empty one too."""
    describe(spark, "write quarantine")
    rows = quarantine_rows(places, answers, run)
    if not summary["failed"]:
        rows = spark.createDataFrame([], rows.schema).coalesce(1)
    rows.write.mode("overwrite").parquet(write_path(run.layout.quarantine))
    return spark.read.schema(rows.schema).parquet(spark_path(run.layout.quarantine))
