"""Stage 3 up to its audit: completions in, annotations (not yet published), quarantine and a summary out.

Everything is written into the run's own folder and may be written again at any time; nothing of the output is touched
(see `publish`). A publication that has begun is never undone: from then on the summary is only read.
"""

from __future__ import annotations

from math import ceil

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from uniner_dist.annotations import audit
from uniner_dist.annotations.answers import ANSWERS, AnswerReader
from uniner_dist.annotations.documents import (
    DOCUMENTS_PER_BATCH,
    annotation_rows,
    exploded_answers,
    merged_documents,
    quarantine_rows,
    whole_documents,
)
from uniner_dist.annotations.journal import is_half_published
from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.spark.datasets import read_table, write_in_arrow, write_rows, write_table
from uniner_dist.spark.stage import describe, settings, stage
from uniner_dist.spark.types import column, fields_of, spark_schema
from uniner_dist.storage.commit import Check, always
from uniner_dist.storage.control_files import AnnotationsSummary, PromptsSummary, read_control, write_record
from uniner_dist.storage.filesystem import exists, remove
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import read_shards
from uniner_dist.storage.stage_files import counting, remove_until_now

#: Documents that one task turns into annotations: their exploded rows are sorted in its memory.
_DOCUMENTS_PER_TASK = 250_000

#: Fewer documents are not shared between tasks, however many cores are idle: files would get too small.
_DOCUMENTS_WORTH_A_TASK = 50_000

#: Texts and answers of up to this many failed passages fit every task (some tens of MB).
_FEW_FAILURES = 20_000


def write_annotations(spark: SparkSession, run: Run, again: bool = False, check: Check = always) -> AnnotationsSummary:
    """Parse, locate, map back to documents, write and audit.

    Args:
        spark: session that runs the stage's jobs.
        run: a run whose shards are all answered.
        again: do so although the run is published (its quarantined cells were asked again).
        check: called before the summary is replaced; raises when this process may not go on.

    Returns:
        The summary, as in `layout.annotations_summary`.

    Raises:
        AuditError: an invariant does not hold; the message lists all that are broken, with numbers.
        ThresholdError: more rows failed than `run.max_failed_fraction` allows.
        StageError: files are missing, or Spark failed.
    """
    summary_path = run.layout.annotations_summary
    if exists(summary_path) and (is_half_published(run.layout) or (_is_published(run) and not again)):
        return read_control(summary_path, AnnotationsSummary)
    manifest = read_shards(run.layout)
    audit.check_committed(run, manifest)
    with stage(spark, "annotations"):
        remove(run.layout.published_by)
        summary = _write(spark, run, manifest)
    check()
    write_record(summary_path, summary)
    write_record(run.layout.staged, summary)
    return summary


def _is_published(run: Run) -> bool:
    marker = read_marker(run.config.output.path)
    return marker is not None and run.id in marker.runs


def _write(spark: SparkSession, run: Run, manifest: pa.Table) -> AnnotationsSummary:
    prompts = read_control(run.layout.prompts_summary, PromptsSummary)
    occurrences = read_table(spark, counting(run.layout.occurrences))
    answers = _write_answers(spark, run, manifest.select(["shard"]).to_pylist())
    documents = whole_documents(occurrences, answers)
    whole = prompts.documents - prompts.split_documents
    if prompts.split_documents:
        merged = merged_documents(occurrences, answers, run, prompts.passages - whole)
        documents = documents.unionByName(merged)
    with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(DOCUMENTS_PER_BATCH)}):
        _write_staged(spark, run, documents, occurrences, prompts.documents)
    describe(spark, "audit the annotations")
    summary = audit.summarise(read_staged(spark, run, occurrences), occurrences, run, prompts)
    failed_at_most = summary.failed + (prompts.passages - whole)  # a split document fails as one row
    few = failed_at_most <= _FEW_FAILURES
    quarantine = _write_quarantine(spark, run, quarantine_rows(occurrences, answers, run, few), summary.failed > 0)
    audit.check_threshold(run, summary, quarantine)
    return summary.model_copy(update={"quarantined": quarantine.count() if summary.failed else 0})


def _write_answers(spark: SparkSession, run: Run, shards: list[dict[str, object]]) -> DataFrame:
    """Read, parse and locate every shard in Python, once, and keep the result in a file."""
    describe(spark, "parse and locate")
    reader = AnswerReader(run.layout, run.fingerprint, run.config.questions, run.config.run.scores)
    names = spark.createDataFrame([(row["shard"],) for row in shards], "shard string")
    tasks = max(1, min(len(shards), max(4 * spark.sparkContext.defaultParallelism, len(shards) // 64)))
    write_in_arrow(names.repartition(tasks), reader, run.layout.answers, ANSWERS)
    return read_table(spark, run.layout.answers, spark_schema(ANSWERS))


def _write_staged(spark: SparkSession, run: Run, documents: DataFrame, occurrences: DataFrame, count: int) -> None:
    """Write the annotations: documents meet by folder, are exploded there, sorted and written.

    Shuffling documents with their list of answers instead of exploded rows moves their id and carried columns once.
    """
    describe(spark, "write annotations")
    gathered = _by_folder(documents, occurrences, run, count, spark.sparkContext.defaultParallelism)
    # Documents are put in order before they are exploded, while they are a fraction of the rows. The sort by folder
    # keeps the order within a folder, unless it does not fit in memory: then a file is made of several runs of ids.
    gathered = gathered.sortWithinPartitions(F.col("document").getField(run.config.corpus.id_column))
    exploded = exploded_answers(gathered, run)
    if run.partition_by:
        exploded = exploded.sortWithinPartitions(*[column(name) for name in run.partition_by])
    rows = annotation_rows(exploded, run)  # after the sort, which moves no more than it must
    write_table(rows, run.layout.staging, run.partition_by, run.config.output.max_records_per_file)


def _by_folder(documents: DataFrame, occurrences: DataFrame, run: Run, count: int, cores: int) -> DataFrame:
    """Bring together the documents of a folder (entity types aside), those of a big one in several pieces."""
    names = [name for name in run.partition_by if name != "entity_type"]
    keys = [F.col("document").getField(name) for name in names]
    limit = run.config.output.max_records_per_file
    per_file = limit if "entity_type" in run.partition_by else max(1, limit // len(run.config.types))
    per_core = max(_DOCUMENTS_WORTH_A_TASK, ceil(count / cores))
    per_piece = min(per_file, _DOCUMENTS_PER_TASK, per_core)
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    if not keys:
        return documents.repartition(max(1, ceil(count / per_piece)), doc_id)
    if count <= per_piece:  # no folder can be too big
        return documents.repartition(2 * cores, *keys)
    sizes = _folder_sizes(occurrences, keys, per_piece)
    pieces = int((sizes.agg(F.sum("pieces")).first() or (1,))[0])
    same = F.lit(True)
    for i, key in enumerate(keys):
        same = same & key.eqNullSafe(F.col(f"folder_{i}"))
    piece = F.pmod(F.xxhash64(doc_id), F.col("pieces"))
    sized = documents.join(F.broadcast(sizes), same)
    return sized.repartition(pieces, *keys, piece).select("document", "text_digest", "answers")


def _folder_sizes(occurrences: DataFrame, keys: list[Column], per_piece: int) -> DataFrame:
    """`folder_0`, `folder_1` …, `pieces`: one small row per folder."""
    named = [key.alias(f"folder_{i}") for i, key in enumerate(keys)]
    first = occurrences.where("passage = 0").select(*named)
    return first.groupBy(*first.columns).agg(F.ceil(F.count("*") / F.lit(per_piece)).cast("int").alias("pieces"))


def read_staged(spark: SparkSession, run: Run, occurrences: DataFrame) -> DataFrame:
    """Return the annotations as written, every column (folder ones too) with the type it was written with.

    Args:
        spark: session that reads the files.
        run: a run whose staged annotations are written.
        occurrences: of the run; only the type of its column `document` is used.
    """
    document = fields_of(occurrences, "document")
    fields = StructType([*document, *spark_schema(pa.schema(ANNOTATION_FIELDS))])
    return read_table(spark, run.layout.staging, fields)


def _write_quarantine(spark: SparkSession, run: Run, rows: DataFrame, failed: bool) -> DataFrame:
    """Write `quarantine/`, an empty one too where nothing has failed."""
    describe(spark, "write quarantine")
    remove_until_now(run.layout, run.layout.quarantine)
    path = run.layout.own(run.layout.quarantine)
    write_rows(rows, path, empty=not failed)
    return read_table(spark, path, rows.schema)
