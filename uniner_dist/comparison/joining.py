"""Compare two annotations datasets of any size with Spark.

Compares two published datasets, or two runs of one, and returns `Tally.summary` of all cells, a cell being the answer
for one (document, entity type). One shuffle joins the two sides of a cell; equal cells are recognised in the JVM and
only counted, the others are compared in Python tasks, and only counters and a few examples reach the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from uniner_dist.comparison.figures import ComparedDocuments, ComparedSide, Comparison
from uniner_dist.comparison.tally import BUCKETS, COUNTERS, EXAMPLES, NO_GROUP, TALLY, Tally
from uniner_dist.core.differences import Cell
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.rows import DataFile, check_columns, list_dataset
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.task_errors import Sealed
from uniner_dist.spark.types import column, spark_schema, spark_type
from uniner_dist.storage.control_files import Marker
from uniner_dist.storage.listing import is_glob, list_corpus
from uniner_dist.storage.marker import read_marker

#: Fields of an entity that are compared.
_ENTITIES = ArrayType(
    StructType(
        [StructField("text", StringType()), StructField("start", IntegerType()), StructField("end", IntegerType())]
    )
)
_CELL = ("outcome", "entities")
_KEY = ("id", "entity_type")
_SIDES = ("before", "after")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a dataset, or the rows of one run in it.

    Args:
        path: path, URL or glob of the dataset.
        run: id of the run; None: all rows.
    """

    path: str
    run: str | None = None


def compare(
    spark: SparkSession, before: Side, after: Side, by: str | None = None, id_column: str | None = None
) -> Comparison:
    """Return the differences between two annotations datasets.

    Args:
        spark: session that joins the two datasets by document and entity type.
        before: the earlier annotations.
        after: the later annotations.
        by: a column of the later dataset, such as `domain`, for whose values figures are returned too; None: none.
        id_column: column of the document ids in both; None: the one in each dataset's marker, or `doc_id` without a
            marker. Ids are compared as strings.

    Raises:
        ConfigError: something is not there or not readable, a run that is not in it, a cell that occurs twice.
        StageError: Spark failed.
    """
    sides = dict(zip(_SIDES, (before, after), strict=True))
    with stage(spark, "diff"):
        rows = {
            name: _read(spark, name, side, by if name == "after" else None, id_column) for name, side in sides.items()
        }
        describe(spark, "compare annotations")
        tally = Tally()
        for row in _tallies(_cells(rows["before"], rows["after"])).collect():  # see TALLY
            tally.add_row(row.asDict(recursive=True))
        describe(spark, "count documents")
        documents = _count_documents(rows["before"], rows["after"])
    return Comparison(
        **dict(tally.summary()),
        before=ComparedSide(path=before.path, run=before.run),
        after=ComparedSide(path=after.path, run=after.run),
        by_column=by,
        documents=documents,
    )


def _read(spark: SparkSession, name: str, side: Side, by: str | None, id_column: str | None) -> DataFrame:
    """`id`, `entity_type`, `group`, `outcome`, `entities` of one side."""
    file, wanted = _checked(name, side, by, id_column)
    key = wanted[0]
    found = {field.name: spark_type(field.type) for field in file.schema} | dict.fromkeys(file.folders, StringType())
    types = found | {"entity_type": StringType(), "entities": _ENTITIES}
    schema = StructType([StructField(column_name, types[column_name]) for column_name in dict.fromkeys(wanted)])
    base = list_corpus(side.path).base if file.folders else None
    rows = read_table(spark, side.path, schema, base=base, is_glob=is_glob(side.path))
    if side.run:
        rows = rows.where(F.col("run_id") == side.run)
    group = F.coalesce(column(by).cast("string"), F.lit(NO_GROUP)) if by else F.lit(None).cast("string")
    return rows.select(column(key).cast("string").alias("id"), "entity_type", group.alias("group"), *_CELL)


def check_sides(before: Side, after: Side, by: str | None = None, id_column: str | None = None) -> None:
    """Check the inputs of `compare` without Spark.

    Args:
        before: the earlier annotations.
        after: the later annotations.
        by: a column that the later dataset must have; None: none.
        id_column: column of the document ids in both; None: see `compare`.

    Raises:
        ConfigError: something is not there, or lacks a column or the run that was named.
    """
    _checked("before", before, None, id_column)
    _checked("after", after, by, id_column)


def _checked(name: str, side: Side, by: str | None, id_column: str | None) -> tuple[DataFile, tuple[str, ...]]:
    """A file of a side, and the columns to read, that of the ids first."""
    marker = read_marker(side.path)
    _check_run(f"--{name}", side, marker)
    key = id_column or (marker.id_column if marker else "doc_id")
    file = list_dataset(f"--{name}", side.path)[0]
    wanted = (key, "entity_type", *_CELL, *(("run_id",) if side.run else ()), *((by,) if by else ()))
    check_columns(f"--{name}", side.path, file, wanted)
    return file, wanted


def _check_run(option: str, side: Side, marker: Marker | None) -> None:
    runs = marker.runs if marker else {}
    if side.run and runs and side.run not in runs:
        raise ConfigError(f"{option}-run {side.run}: not in {side.path}; runs there: {', '.join(runs)}")


def _cells(before: DataFrame, after: DataFrame) -> DataFrame:
    """One row per cell: what each side has, how often, and whether they are equal as stored."""
    sides = [rows.withColumn("side", F.lit(name)) for name, rows in zip(_SIDES, (before, after), strict=True)]
    is_side = {name: F.col("side") == name for name in _SIDES}
    cell = F.struct(*_CELL)
    joined = (
        sides[0]
        .unionByName(sides[1])
        .groupBy(*_KEY)
        .agg(
            *[F.first(F.when(is_side[name], cell), ignorenulls=True).alias(name) for name in _SIDES],
            F.greatest(*[F.count(F.when(is_side[name], 1)) for name in _SIDES]).alias("repeats"),
            F.max("group").alias("group"),
        )
    )
    equal = F.coalesce(F.col("before") == F.col("after"), F.lit(False))
    bucket = F.pmod(F.crc32(F.col("id").cast("binary")), F.lit(BUCKETS)).cast("int")
    return joined.select(
        *_KEY,
        "group",
        "repeats",
        bucket.alias("bucket"),
        equal.alias("equal"),
        F.when(equal, F.size(F.array_distinct("after.entities"))).otherwise(0).alias("mentions"),
        *[F.when(~equal, F.col(name)).alias(name) for name in _SIDES],
    )


def _tallies(cells: DataFrame) -> DataFrame:
    """Rows of `TALLY`, those of the same key added up."""
    parts = cells.mapInArrow(Sealed(count_batches), spark_schema(TALLY))
    return parts.groupBy("scope", "name", "bucket", "kind").agg(
        *[F.sum(name).cast("long").alias(name) for name in COUNTERS],
        F.slice(F.array_sort(F.flatten(F.collect_list("examples"))), 1, EXAMPLES).alias("examples"),
    )


def count_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count the differences of cells; Spark runs this function on each partition of `_cells`.

    Args:
        batches: Arrow batches of the partition.

    Yields:
        One batch, the tally of the partition as rows of `TALLY`.

    Raises:
        ConfigError: a (document, entity type) occurs twice on one side.
    """
    tally = Tally()
    for batch in batches:
        _check_repeats(batch)
        equal = batch.filter(batch.column("equal"))
        keys = ["entity_type", "group", "bucket"]
        counted = pa.Table.from_batches([equal]).group_by(keys).aggregate([("mentions", "sum"), ("mentions", "count")])
        for row in counted.to_pylist():
            tally.add_equal(row["entity_type"], row["group"], row["bucket"], row["mentions_count"], row["mentions_sum"])
        for row in batch.filter(pc.invert(batch.column("equal"))).to_pylist():
            before, after = (Cell.of(**row[name]) if row[name] is not None else None for name in _SIDES)
            tally.add(row["id"], row["entity_type"], before, after, row["group"])
    yield tally.to_arrow()


def _check_repeats(batch: pa.RecordBatch) -> None:
    repeated = batch.filter(pc.greater(batch.column("repeats"), 1)).slice(0, 1).to_pylist()
    if repeated:
        raise ConfigError(
            f"document {repeated[0]['id']}, type {repeated[0]['entity_type']} occurs more than once on one side"
        )


def _count_documents(before: DataFrame, after: DataFrame) -> ComparedDocuments:
    """Documents of both sides and of one alone; reads the ids only."""
    sides = [rows.select("id", F.lit(name).alias("side")) for name, rows in zip(_SIDES, (before, after), strict=True)]
    has: list[Column] = [F.max(F.col("side") == name).alias(name) for name in _SIDES]
    documents = sides[0].unionByName(sides[1]).groupBy("id").agg(*has)
    counts = {tuple(row)[:2]: row["count"] for row in documents.groupBy(*_SIDES).count().collect()}  # three rows
    return ComparedDocuments(
        both=counts.get((True, True), 0),
        only_before=counts.get((True, False), 0),
        only_after=counts.get((False, True), 0),
    )
