"""The corpus as Spark reads it: finds rows that cannot be used, and keeps one row per id.

Reads the user's Parquet into rows of (`document`, `text`, `file`, `row`), where `document` is a struct of the id and
the carried columns under their own names, so that no name of ours can clash with one of the user's. Texts are never
changed and never shuffled here; nothing but JVM column expressions.
"""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from uniner_dist.core.outcomes import ERASED
from uniner_dist.run.run import Run
from uniner_dist.schemas import name_in_rejects
from uniner_dist.spark.planned import read_planned, valid_utf8
from uniner_dist.spark.types import fields_of
from uniner_dist.storage import hive as folders
from uniner_dist.storage.erased import read_erased
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import Snapshot

#: Anything but white space, separators, control and format characters (zero-width space, byte-order mark …).
VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"

#: A row of which a text, an id or a carried value is longer than `corpus.max_text_bytes`.
TOO_LARGE = "text_too_large"
#: Characters of each value of such a row that are kept in the rejects.
_KEPT_OF_LARGE = 1000

#: Why a row of the corpus cannot be used.
REASONS = (
    *("null_id", TOO_LARGE, "blank_id", "null_text", "invalid_utf8", "blank_text"),
    *("unfit_for_folder", ERASED, "duplicate_id"),
)


def read_corpus(spark: SparkSession, run: Run, snapshot: Snapshot) -> DataFrame:
    """Read all rows of the corpus: `document`, `text`, and `file` and `row`, which identify the row.

    Partition values stay strings (`001`), and columns that are not needed are neither read nor compared between files.

    Args:
        spark: session that reads.
        run: its configuration names the text, id and carried columns.
        snapshot: the corpus's files with their footers and partition values.

    Returns:
        One row per row of the corpus. An empty string in a folder column of the output becomes null, as both have the
        same folder.

    Raises:
        ConfigError: a column is missing, or its types cannot be read or joined.
    """
    names = [*document_columns(run), run.config.corpus.text_column]
    reading = plan_reading(snapshot, names, run.config.corpus.binary_text)
    rows = read_planned(spark, snapshot, reading, names, run.config.corpus.max_text_bytes)
    types = StructType([StructField(name, rows.schema[i].dataType) for i, name in enumerate(names)])
    folders = set(_string_folders(types, run))
    values = [F.col(f"c{i}") for i in range(len(names))]
    fields = [_null_if_empty(value) if name in folders else value for name, value in zip(names, values, strict=True)]
    document = F.struct(*[value.alias(name) for name, value in zip(names[:-1], fields, strict=False)])
    return rows.select(document.alias("document"), values[-1].alias("text"), "file", "row")


def document_columns(run: Run) -> tuple[str, ...]:
    """Return the names of the fields of `document`: the id column, then the carried ones.

    Args:
        run: its configuration names the columns, as the corpus spells them.
    """
    return (run.config.corpus.id_column, *run.carried)


def document_id(run: Run) -> Column:
    """Return the id inside of `document`, in the type that the corpus has.

    Args:
        run: its configuration names the id column.
    """
    return F.col("document").getField(run.config.corpus.id_column)


def with_reason(corpus: DataFrame, run: Run) -> DataFrame:
    """Add `reason`: why the row alone cannot be used, null when it can.

    Args:
        corpus: rows from `read_corpus`.
        run: the longest text, the folder columns of the output, and the lists of erased documents.

    Returns:
        The same rows; `reason` is one of `REASONS` except "duplicate_id", which needs other rows.
    """
    doc_id, text = document_id(run), F.col("text")
    id_is_text = isinstance(corpus.select(doc_id).schema[0].dataType, StringType)
    # Before anything looks into the values of a row that is too large.
    reason = F.when(doc_id.isNull(), "null_id").when(_is_too_large(corpus, run), TOO_LARGE)
    if id_is_text:
        reason = reason.when(~doc_id.rlike(VISIBLE), "blank_id")
    reason = (
        reason.when(text.isNull(), "null_text")
        .when(~_all_valid_utf8(corpus), "invalid_utf8")
        .when(~text.rlike(VISIBLE), "blank_text")
    )
    for name in _string_folders(corpus.schema["document"].dataType, run):
        if run.corpus_version or name not in run.corpus_partitions:  # those were folders already
            reason = reason.when(~_fits_folder(name, F.col("document").getField(name)), "unfit_for_folder")
    return (
        _without_erased(corpus, run)
        .withColumn("reason", F.when(F.col("erased"), ERASED).otherwise(reason))
        .drop("erased")
    )


def _without_erased(corpus: DataFrame, run: Run) -> DataFrame:
    """Add `erased`: whether a row is a document that was erased, with the text that it had (see `storage.erased`)."""
    spark, doc_id = corpus.sparkSession, document_id(run).cast("string")
    text_hash = F.substring(F.sha2(F.col("text").cast("binary"), 256), 1, 32)
    erased = F.lit(False)
    lists = [found for folder in run.erased_lists if (found := read_erased(folder)) is not None]
    for number, found in enumerate(lists):
        kinds = (
            (found.without_text, F.concat(F.lit(f"{found.salt}::"), doc_id)),
            (found.with_text, F.concat(F.lit(f"{found.salt}:"), text_hash, F.lit(":"), doc_id)),
        )
        for kind, (hashes, value) in enumerate(kinds):
            if hashes:
                key = f"erased_{number}_{kind}"
                rows = spark.createDataFrame([(one,) for one in hashes], f"{key} string")
                hashed = F.substring(F.sha2(value.cast("binary"), 256), 1, 32)
                corpus = corpus.join(F.broadcast(rows), hashed == F.col(key), "left")
                erased = erased | F.col(key).isNotNull()
    return corpus.withColumn("erased", erased).drop(*[name for name in corpus.columns if name.startswith("erased_")])


def _string_folders(columns: Any, run: Run) -> list[str]:
    """Folder columns of the output among these fields of a struct that are strings."""
    return [f.name for f in columns.fields if f.name in run.partition_by and isinstance(f.dataType, StringType)]


def _null_if_empty(value: Column) -> Column:
    """Null and the empty string have one folder, which is read as null: a task that meets both would write it twice."""
    return F.when(value != "", value)


def _fits_folder(name: str, value: Column) -> Column:
    """Whether Spark can make a folder for this value (see `folders.is_folder_name`); null can always have one."""
    room = folders.MAX_BYTES - len(folders.folder_name(name, "x").encode()) + 1
    escaped = F.regexp_replace(value, folders.ESCAPED, "%XX")
    fits = (F.octet_length(escaped) <= room) & ~value.contains("\0") & (value != folders.NULL_FOLDER)
    return F.coalesce(fits, F.lit(True))


def find_repeats(corpus: DataFrame, run: Run) -> DataFrame:
    """Return `file` and `row` of every usable row whose id an earlier row has already.

    Earlier by content (carried columns, then the text's hash), so that the order of files does not matter. Only ids
    are shuffled to see which repeat, and only rows with such an id are compared.

    Args:
        corpus: rows from `with_reason`.
        run: its configuration names the id column.
    """
    doc_id = document_id(run).alias("id")
    usable = corpus.where("reason IS NULL")
    repeated = usable.select(doc_id).groupBy("id").count().where("count > 1").select("id")
    keys = usable.select(doc_id, F.to_json("document").alias("carried"), _hash(), "file", "row")
    order = Window.partitionBy("id").orderBy("carried", "hash", "file", "row")
    ranked = keys.join(repeated, "id", "left_semi").withColumn("rank", F.row_number().over(order))
    return ranked.where("rank > 1").select("file", "row")


def has_repeated_ids(corpus: DataFrame, run: Run) -> bool:
    """Return whether any id but null occurs twice, in usable rows or not; reads the id column alone, in a Spark job.

    Args:
        corpus: rows from `read_corpus`.
        run: its configuration names the id column.
    """
    doc_id = document_id(run).alias("id")
    repeated = corpus.select(doc_id).where("id IS NOT NULL").groupBy("id").count().where("count > 1")
    return bool(repeated.head(1))


def accepted(corpus: DataFrame, repeats: DataFrame | None) -> DataFrame:
    """Return the rows to annotate: `document`, `text`.

    Args:
        corpus: rows from `with_reason`.
        repeats: rows to leave out, from `find_repeats`; None where no id repeats.
    """
    usable = corpus.where("reason IS NULL")
    if repeats is not None:
        usable = usable.join(repeats, ["file", "row"], "left_anti")
    return usable.select("document", "text")


def rejected(corpus: DataFrame, run: Run, repeats: DataFrame | None) -> DataFrame:
    """Return the rows that cannot be used, under the corpus's own column names, and `reason`.

    Strings are made readable (invalid bytes become U+FFFD), because no reader opens a file with invalid ones; of rows
    that are too large only the beginning of each value is kept. Erased documents are left out.

    Args:
        corpus: rows from `with_reason`.
        run: its configuration names the text column.
        repeats: rows from `find_repeats`, whose reason is "duplicate_id"; None where no id repeats.

    Returns:
        Id and carried columns, the text, and `reason`; see `schemas.name_in_rejects` for a clash of names.
    """
    bad = corpus.where(F.col("reason").isNotNull() & (F.col("reason") != ERASED))
    if repeats is not None:
        usable = corpus.where("reason IS NULL")
        twice = usable.join(repeats, ["file", "row"], "left_semi").withColumn("reason", F.lit("duplicate_id"))
        bad = bad.unionByName(twice.select(*bad.columns))
    text_column = run.config.corpus.text_column
    fields = fields_of(bad, "document")
    kept = [
        _readable(F.col("document").getField(f.name), f).alias(name_in_rejects(f.name))
        for f in fields
        if f.name != text_column
    ]
    text = _readable(F.col("text"), StructField("text", StringType())).alias(text_column)
    return bad.select(*kept, text, "reason")


def _all_valid_utf8(corpus: DataFrame) -> Column:
    """Whether text, id and carried strings are valid UTF-8; Spark reads Parquet strings without looking."""
    return reduce(and_, (F.coalesce(valid_utf8(text), F.lit(True)) for text in _strings(corpus)))


def _is_too_large(corpus: DataFrame, run: Run) -> Column:
    """Whether text, id or a carried string is longer than a task can be asked to hold several of."""
    longest = run.config.corpus.max_text_bytes
    return reduce(or_, (F.coalesce(F.octet_length(text) > longest, F.lit(False)) for text in _strings(corpus)))


def _strings(corpus: DataFrame) -> list[Column]:
    """The text, and what of `document` is a string."""
    fields = fields_of(corpus, "document")
    return [F.col("text"), *(F.col("document").getField(f.name) for f in fields if isinstance(f.dataType, StringType))]


def is_usable_text(text: Column) -> Column:
    """Return a column that says whether a text can be annotated: neither null nor blank, and valid UTF-8.

    Args:
        text: column of strings.
    """
    return text.isNotNull() & F.coalesce(valid_utf8(text), F.lit(False)) & text.rlike(VISIBLE)


def _readable(value: Column, field: StructField) -> Column:
    if not isinstance(field.dataType, StringType):
        return value
    value = F.when(F.col("reason") == TOO_LARGE, F.substring(value, 1, _KEPT_OF_LARGE)).otherwise(value)
    return F.make_valid_utf8(value) if hasattr(F, "make_valid_utf8") else _decode(value)


def _decode(text: Column) -> Column:
    """Spark 3.5's decode, which replaces what is not UTF-8."""
    return F.decode(text.cast("binary"), "UTF-8")


def _hash() -> Column:
    return F.sha2(F.col("text").cast("binary"), 256).alias("hash")
