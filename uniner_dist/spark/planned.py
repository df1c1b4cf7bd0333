"""A corpus as a DataFrame, read as `uniner_dist.storage.reading` plans it: by Spark, by its tasks, or both.

Columns get neutral names, `c0`, `c1` …, so that no name of a user's can clash with one of ours. Both ways of
reading give the same values and types for every file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from uniner_dist.spark.datasets import connector_path, read_by_tasks, spelled_alike
from uniner_dist.spark.paths import spark_path, write_path
from uniner_dist.spark.stage import settings
from uniner_dist.spark.types import column, spark_type
from uniner_dist.storage.file_reader import FileReader
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.listing import SUFFIXES
from uniner_dist.storage.reading import FileGroup, Reading
from uniner_dist.storage.snapshot import Snapshot

#: A folder's name with escaped non-ASCII bytes, as pyarrow and pandas write `münchen`; Spark and Hive never do.
_PERCENT_UTF8 = re.compile(r"%[89a-fA-F][0-9a-fA-F]")
#: A file name that is spelled the same in a URL: none of its characters is escaped.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: Spark looks at up to this many files in the driver, one after the other; each would be a task of its own.
_LOCAL_LISTING: Mapping[str, str] = {"spark.sql.sources.parallelPartitionDiscovery.threshold": "1000000000"}


def read_planned(
    spark: SparkSession, snapshot: Snapshot, reading: Reading, names: Sequence[str], longest: int | None = None
) -> DataFrame:
    """Read columns of a corpus, and where each row is stored.

    Args:
        spark: session that reads, by its own Parquet reader where the files allow it.
        snapshot: the corpus's files, footers and partition values.
        reading: groups of files that are read alike, from `plan_reading`.
        names: stored columns and partition columns to read; values of folders are strings, those of a table's partition
            columns have the table's types.
        longest: bytes; strings that are longer are of no use to the caller, so tasks cut them after one byte more. None
            for no limit.

    Returns:
        `c0`, `c1` … in the order of `names`; `file` and `row`, which identify the row.
    """
    native = connector_path(spark, snapshot.path)
    parts = [
        _by_spark(spark, snapshot, reading, group, names, native)
        if native is not None and group.by_spark and _is_looked_up_by_name(snapshot, group)
        else _by_tasks(spark, snapshot, reading, group, names, longest)
        for group in reading.groups
    ]
    return reduce(DataFrame.unionByName, parts)


def _by_spark(
    spark: SparkSession, snapshot: Snapshot, reading: Reading, group: FileGroup, names: Sequence[str], native: str
) -> DataFrame:
    stripped = open_fs(snapshot.path)[1]
    by_path = snapshot.folders if snapshot.table is None else ()
    stored = [StructField(kept.name, spark_type(kept.type)) for kept in group.columns if kept is not None]
    folders = [StructField(name, StringType()) for name in by_path]
    reader: Any = spark.read.format("parquet").schema(StructType([*stored, *folders]))
    if folders:
        reader = reader.option("basePath", write_path(spelled_alike(native, stripped, snapshot.base)))
    else:
        reader = reader.option("recursiveFileLookup", "true")
    if reading.whole_folder:
        endings = ",".join(suffix.lstrip(".") for suffix in SUFFIXES)
        rows = reader.option("pathGlobFilter", f"*.{{{endings}}}").load(spark_path(native))
    else:
        paths = [spark_path(spelled_alike(native, stripped, file)) for file in group.files]
        with settings(spark, _LOCAL_LISTING if "://" not in native else {}):
            rows = reader.load(paths)
    escaped = any(_PERCENT_UTF8.search(file[len(snapshot.base) :]) for file in group.files) if folders else False
    values = _stored_values(reading, group, column)
    values |= {name: _from_percent_utf8(column(name)) if escaped else column(name) for name in by_path}
    where = [F.col("_metadata.file_path").alias("file"), F.col("_metadata.row_index").alias("row")]
    if snapshot.table is None or not snapshot.folders:
        return _selected(rows, values, names, where)
    # Values of a table's log are looked up by the file's name, which the corpus does not choose.
    kept = [values[name].alias(f"s{i}") for i, name in enumerate(names) if name in values]
    rows = rows.select(*kept, F.col("_metadata.file_name").alias("file_name"), *where)
    rows = rows.join(F.broadcast(_values_by_name(spark, snapshot, group)), "file_name")
    values = {name: F.col(f"s{i}") for i, name in enumerate(names) if name in values}
    return _selected(rows, values | _folder_values(snapshot), names, [F.col("file"), F.col("row")])


def _selected(
    rows: DataFrame, values: Mapping[str, Column], names: Sequence[str], where: Sequence[Column]
) -> DataFrame:
    found: DataFrame = rows.select(*[values[name].alias(f"c{i}") for i, name in enumerate(names)], *where)
    return found


def _folder_values(snapshot: Snapshot) -> dict[str, Column]:
    """Columns that files do not store, in their types, from `folder0` on."""
    kinds = {name: spark_type(snapshot.folder_type(name)) for name in snapshot.folders}
    return {name: F.col(f"folder{i}").cast(kind) for i, (name, kind) in enumerate(kinds.items())}


def _values_by_name(spark: SparkSession, snapshot: Snapshot, group: FileGroup) -> DataFrame:
    """One small row per file: its name, and the values of columns that it does not store."""
    rows = [
        (snapshot.files[place].rsplit("/", 1)[-1], *(snapshot.values[place].get(name) for name in snapshot.folders))
        for place in group.places
    ]
    columns = ["file_name string", *(f"folder{i} string" for i in range(len(snapshot.folders)))]
    return spark.createDataFrame(rows, ", ".join(columns))


def _is_looked_up_by_name(snapshot: Snapshot, group: FileGroup) -> bool:
    """Whether the names of a table's files are distinct, and every reader spells them in the same way."""
    if snapshot.table is None or not snapshot.folders:
        return True
    names = [file.rsplit("/", 1)[-1] for file in group.files]
    return len(set(names)) == len(names) and all(map(_PLAIN_NAME.fullmatch, names))


def _by_tasks(
    spark: SparkSession,
    snapshot: Snapshot,
    reading: Reading,
    group: FileGroup,
    names: Sequence[str],
    longest: int | None,
) -> DataFrame:
    """The files of a group, each read by one task through pyarrow; folders' values come with their names."""
    kept = [(i, stored) for i, stored in enumerate(group.columns) if stored is not None]
    types = [reading.columns[i].type for i, _ in kept]
    table, stored_names = snapshot.table, [stored.name for _, stored in kept]
    read_file = None if table is None else table.read_file
    reader = FileReader(snapshot.path, stored_names, types, group.opaque, longest, read_file)
    values_of, marks = snapshot.values, None if table is None else [table.marks[place] for place in group.places]
    folders = [values_of[place] for place in group.places]
    rows = read_by_tasks(spark, reader, group.files, folders, snapshot.folders, marks)
    found = {reading.columns[i].name: F.col(f"c{place}") for place, (i, _) in enumerate(kept)}
    values: dict[str, Column] = {
        field.name: found.get(field.name, F.lit(None).cast(spark_type(field.type))) for field in reading.columns
    }
    return _selected(rows, values | _folder_values(snapshot), names, [F.col("file"), F.col("row")])


def _stored_values(reading: Reading, group: FileGroup, column_of: Any) -> dict[str, Column]:
    """Each column of the reading in its type: from what Spark reads, or null."""
    values: dict[str, Column] = {}
    for field, stored in zip(reading.columns, group.columns, strict=True):
        kind = spark_type(field.type)
        if stored is None:
            values[field.name] = F.lit(None).cast(kind)
        else:
            value = column_of(stored.name)
            values[field.name] = value if stored.type == field.type else value.cast(kind)
    return values


def _from_percent_utf8(value: Column) -> Column:
    """A partition value as it was meant: Spark takes each escaped byte of a folder's name for a character."""
    is_bytes = value.rlike(r"^[\x00-\xff]*[\x80-\xff][\x00-\xff]*$")
    decoded = F.encode(value, "ISO-8859-1").cast("string")
    return F.when(is_bytes & valid_utf8(decoded), decoded).otherwise(value)


def valid_utf8(text: Column) -> Column:
    """Return a column that says whether a string is valid UTF-8, which Spark does not check when it reads Parquet.

    Args:
        text: column of strings.

    Returns:
        True or False; null for null.
    """
    if hasattr(F, "is_valid_utf8"):  # Spark 4
        return F.is_valid_utf8(text)
    return F.decode(text.cast("binary"), "UTF-8").cast("binary") == text.cast("binary")
