"""Join the annotations of a document with its text in Spark, whose tasks write the files.

Reads a published output, whose rows of one document may be in as many files as there are types, and the corpora that it
was made of. Writes files of a format, and returns counters. Every text is shuffled once; nothing but counters and the
names of the entity types reaches the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.rows import TableFile, check_columns, list_dataset
from uniner_dist.export.ownership import keep_only
from uniner_dist.export.texts import TextSource
from uniner_dist.export.writing import COUNTERS, DocumentWriter
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.prompts.corpus import is_usable_text
from uniner_dist.schemas import ENTITY
from uniner_dist.spark.datasets import map_in_arrow, read_table
from uniner_dist.spark.planned import read_planned
from uniner_dist.spark.stage import LISTS_IN_ARROW, describe, settings, stage
from uniner_dist.spark.types import column, spark_type
from uniner_dist.storage.listing import is_glob, list_corpus
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import Snapshot

#: Rows, and bytes of texts, in one batch of a task.
_ROWS_PER_BATCH = 4096
_BYTES_PER_BATCH = 64 << 20
#: Below so many rows a batch Spark limits its bytes instead; it measures them after each row, slower than it makes one.
_FEW_ROWS = 512
_ANSWER = ("entity_type", "outcome", "score", "entities")


@dataclass(frozen=True)
class Source:
    """Annotations to export, and where their texts are.

    Args:
        annotations: path or URL of the published output.
        corpora: corpora with the texts; where several have an id, the first one counts.
        id_column: column of the document ids in the output and in the corpora.
        carried: further columns that distinguished rows of a corpus with the same id.
        types: entity types to export; None: all.
        sample: number of documents to export, chosen by the hash of their ids; None: all.
        longest: bytes of the longest text that can have been annotated (`corpus.max_text_bytes`).
    """

    annotations: str
    corpora: Sequence[TextSource]
    id_column: str
    carried: Sequence[str] = ()
    types: Sequence[str] | None = None
    sample: int | None = None
    longest: int | None = None


def find_labels(spark: SparkSession, source: Source, known: Sequence[str]) -> tuple[str, ...]:
    """Return the entity types of the annotations that are exported: known ones in their order, then the others sorted.

    They are read from the names of the output's folders, and from its rows only where a folder does not name one.

    Args:
        spark: session that lists the types where folders do not name them.
        source: the annotations, and the types that were asked for.
        known: entity types in the order in which runs asked for them; those without annotations are left out.

    Raises:
        ConfigError: a type of `source.types` has no annotations.
    """
    folders = [file.folders.get("entity_type") for file in list_dataset("--annotations", source.annotations)]
    found = {name for name in folders if name is not None}
    if None in folders:
        with stage(spark, "export"):
            describe(spark, "list entity types")
            rows = _read_annotations(spark, source).select("entity_type").distinct().collect()  # types, no documents
        found = {row["entity_type"] for row in rows}
    labels = [label for label in known if label in found]
    labels += sorted(found - set(labels))
    missing = [name for name in source.types or () if name not in found]
    if missing:
        raise ConfigError(f"--types {', '.join(missing)}: not in the annotations, which have {', '.join(labels)}")
    return tuple(label for label in labels if source.types is None or label in source.types)


def write_documents(
    spark: SparkSession, source: Source, folder: str, name: str, chosen: ExportSettings, salt: str = ""
) -> tuple[dict[str, int], list[str]]:
    """Write every document of the annotations into `folder`, in format `name`.

    Args:
        spark: session that joins annotations and texts; its tasks write the files.
        source: the annotations and where the texts are.
        folder: path or URL of the export's folder, which exists.
        name: name of the format, one of `formats.writers.FORMATS`.
        chosen: settings of the export, the same for every document.
        salt: salt of the export, in its manifest, for the hashes in its lists of documents.

    Returns:
        Counter, each of `COUNTERS` → its sum; and the names of the lists whose files count, sorted. Files of other
        attempts of tasks have been removed.

    Raises:
        ConfigError: a dataset is not there, lacks a column, or a document cannot be written in this format.
        StageError: Spark or storage failed.
    """
    with stage(spark, "export"):
        describe(spark, "find the longest text")
        batches = batch_limits(_longest_text(spark, source))
    with stage(spark, "export"), settings(spark, batches):
        describe(spark, f"write {name} files")
        rows = _rows(spark, source)
        fields = [StructField(counter, LongType()) for counter in COUNTERS]
        schema = StructType([*fields, StructField("parts", ArrayType(StringType()))])
        done = map_in_arrow(rows, DocumentWriter(folder, name, chosen, salt), schema).collect()  # one row per task
    parts = sorted(part for row in done for part in row["parts"])
    keep_only(folder, parts)
    return {counter: sum(row[counter] for row in done) for counter in COUNTERS}, parts


def batch_limits(longest: int) -> dict[str, str]:
    """Return Spark's settings for the batches of a task, none of which should hold much more than `_BYTES_PER_BATCH`.

    Args:
        longest: bytes of the longest text; 0 where there is no text.
    """
    rows = min(_ROWS_PER_BATCH, _BYTES_PER_BATCH // max(longest, 1))
    limit = (
        {"spark.sql.execution.arrow.maxBytesPerBatch": str(_BYTES_PER_BATCH)} if rows < _FEW_ROWS else LISTS_IN_ARROW
    )
    return {"spark.sql.execution.arrow.maxRecordsPerBatch": str(max(rows, _FEW_ROWS)), **limit}


def _longest_text(spark: SparkSession, source: Source) -> int:
    """Bytes of the longest text of the corpora."""
    texts = (_read_texts(spark, source, rank) for rank in range(len(source.corpora)))
    found = [rows.agg(F.max(F.octet_length("text"))).collect()[0][0] for rows in texts]  # one number
    return max(length or 0 for length in found)


def _rows(spark: SparkSession, source: Source) -> DataFrame:
    """Answers, and texts of the corpora, in the form that `export.rows` takes: rows of one `id` follow each other.

    One shuffle and one sort: lists made by an aggregation would be sorted before the shuffle and after it.
    """
    answers = _read_annotations(spark, source)
    if source.types is not None:
        answers = answers.where(F.col("entity_type").isin(list(source.types)))
    texts = reduce(DataFrame.unionByName, [_read_texts(spark, source, rank) for rank in range(len(source.corpora))])
    if source.sample is not None:
        order = [F.xxhash64("id"), F.col("id")]
        ids = answers.select("id").distinct().orderBy(*order).limit(source.sample)
        answers, texts = (rows.join(F.broadcast(ids), "id", "left_semi") for rows in (answers, texts))
    return answers.unionByName(texts, allowMissingColumns=True).repartition("id").sortWithinPartitions("id")


def _read_annotations(spark: SparkSession, source: Source) -> DataFrame:
    """`id`, `entity_type`, `outcome`, `score`, `entities`."""
    path, files = source.annotations, list_dataset("--annotations", source.annotations)
    wanted = [source.id_column, "entity_type", "outcome", "entities"]
    if isinstance(files[0], TableFile):
        list_corpus(path)  # refuses the table: Spark would read deleted rows too
    check_columns("--annotations", path, files[0], wanted)
    found = {field.name: spark_type(field.type) for field in files[0].schema}
    found |= dict.fromkeys(files[0].folders, StringType())
    found |= {"entity_type": StringType(), "entities": spark_type(pa.list_(ENTITY)), "score": spark_type(pa.float32())}
    schema = StructType([StructField(name, found[name]) for name in dict.fromkeys([*wanted, "score"])])
    base = list_corpus(path).base if files[0].folders else None
    rows = read_table(spark, path, schema, base=base, is_glob=is_glob(path))
    return rows.select(column(source.id_column).alias("id"), *_ANSWER)


def _read_texts(spark: SparkSession, source: Source, rank: int) -> DataFrame:
    """`id`, `rank`, `carried`, `text`.

    The first row of an id by rank, what is carried and the text's hash is the one that was annotated (`find_repeats`).
    """
    texts = source.corpora[rank]
    snapshot = texts.snapshot()
    names = _corpus_columns(texts.path, snapshot, source, texts.text_column)
    rows = read_planned(spark, snapshot, plan_reading(snapshot, names), names, source.longest)
    doc_id, *carried, text = (F.col(f"c{i}").alias(name) for i, name in enumerate(names))
    keys = F.to_json(F.struct(doc_id, *carried)) if carried else F.lit("")  # of one id, ids alone are alike
    usable = rows.where(is_usable_text(text) & doc_id.isNotNull())
    return usable.select(doc_id.alias("id"), F.lit(rank).alias("rank"), keys.alias("carried"), text.alias("text"))


def _corpus_columns(path: str, snapshot: Snapshot, source: Source, text_column: str) -> list[str]:
    """The id, what is carried, and the text."""
    found = (*snapshot.column_names, *snapshot.partitions)
    missing = [name for name in (source.id_column, text_column) if name not in found]
    if missing:
        raise ConfigError(
            f"corpus {path}: has no column {', '.join(missing)}; columns there: {', '.join(found)} "
            "(--text-column and --id-column name them)"
        )
    carried = [name for name in source.carried if name in found and name != text_column]
    return list(dict.fromkeys([source.id_column, *carried, text_column]))
