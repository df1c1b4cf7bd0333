"""Reads and writes Parquet datasets by Spark, on any storage.

Where the cluster has a connector of its own for the scheme of a path, Spark reads and writes. Where it has none (a
pip-installed Spark has none for `s3://`), its tasks do it themselves by fsspec and pyarrow, file by file: slower, but
nothing has to be installed. Of what several attempts of such a task have written one counts (`storage.attempts`); what
Spark writes itself is committed by its committer.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import LongType, StringType, StructField, StructType

from uniner_dist.errors import StageError
from uniner_dist.runtime.compat.spark_internals import hadoop_configuration, java_of
from uniner_dist.spark.dataset_tasks import COUNT, ArrowFunction, FileWriter, Kept, Written
from uniner_dist.spark.paths import spark_glob, spark_path, write_path
from uniner_dist.spark.task_errors import Sealed
from uniner_dist.spark.types import arrow_schema, arrow_type, column, spark_type
from uniner_dist.storage import credentials
from uniner_dist.storage.attempts import count_files, count_written, counted_files, only_counted, whole_attempts
from uniner_dist.storage.file_reader import FileReader, unreadable
from uniner_dist.storage.filesystem import find_files, join, open_fs, remove, write_bytes
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.retries import with_retries
from uniner_dist.storage.table_names import is_table_name

log = logging.getLogger(__name__)

#: The file of a dataset without rows.
_EMPTY = "part-0.parquet"
#: Other spellings of a scheme that Spark's connector may have; Hadoop's own connector for `s3://` answers to `s3a://`.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {"s3": ("s3", "s3a"), "s3a": ("s3a", "s3"), "gcs": ("gs",)}
#: Location of a row; Spark calls the same things `_metadata.file_path` and `_metadata.row_index`.
_LOCATION = (StructField("file", StringType(), False), StructField("row", LongType(), False))


def connector_path(spark: SparkSession, path: str) -> str | None:
    """Return a path as Spark's own connector spells it, or None where Spark has no connector for its scheme.

    Args:
        spark: session whose Hadoop configuration is asked. One of Spark Connect cannot be asked, and is taken to have a
            connector for every scheme.
        path: path or URL; a table's name (`table:…`) has no connector.

    Returns:
        The path with the scheme that the connector knows, such as `s3a` for `s3`; a local path as it is.
    """
    scheme = urlsplit(path).scheme
    if is_table_name(path):
        return None
    if scheme in ("", "file", "local"):
        return path
    jvm = java_of(spark)
    if jvm is None:  # Spark Connect gives no access to it
        return path
    for spelling in _SPELLINGS.get(scheme, (scheme,)):
        try:
            hadoop = hadoop_configuration(spark)
            jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(spelling, hadoop)
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("py4j", "pyspark"):
                raise
            continue
        return spelling + path[len(scheme) :]
    return None


def spelled_alike(spelled: str, stripped: str, path: str) -> str:
    """Return an fsspec path as Spark's connector spells it, given both spellings of another path of the same store.

    Spellings differ at their beginning: only one may name a host.

    Args:
        spelled: the other path as `connector_path` spells it.
        stripped: the other path as fsspec spells it, from `open_fs`.
        path: what is to be respelled, in fsspec's spelling.
    """
    if "://" not in spelled:
        return path
    common = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(spelled[::-1], stripped[::-1], strict=False))
    )
    return spelled[: len(spelled) - common] + path[len(stripped) - common :]


def read_table(
    spark: SparkSession,
    path: str,
    schema: StructType | None = None,
    *,
    location: bool = False,
    base: str | None = None,
    is_glob: bool = False,
) -> DataFrame:
    """Read a Parquet dataset of this program, whose files have one schema; `spark.planned` reads those of others.

    Args:
        spark: session that reads by its own connector for the scheme, or else by tasks through fsspec.
        path: path or URL of the dataset.
        schema: columns to read, folder columns among them; default: what the first file has.
        location: add `file` and `row` (number in the file, from 0), which identify a row.
        base: folder from which folder columns count, as fsspec spells it; default: the path.
        is_glob: whether wildcards in the path are meant as such, which only Spark's connector knows; else they are
            literal.

    Returns:
        The columns of `schema`, then the two of `location`. Files that `_counted.json` does not name are left out.

    Raises:
        ControlFileError: a file that `_counted.json` names is gone.
        StageError: tasks read, and without a schema there is no file to take it from.
    """
    spelled = connector_path(spark, path)
    if spelled is not None:
        base = base and spelled_alike(spelled, open_fs(path)[1], base)
        counted = None if is_glob else only_counted(path)
        return _read_by_spark(spark, spelled, schema, location, base, is_glob, counted)
    fs, stripped = open_fs(path)
    files = [join(stripped, name) for name in counted_files(path)]
    if schema is None:
        schema = from_arrow_schema(_read_schema(fs, path, files))
    return _read_by_name(spark, path, schema, location, files, stripped if base is None else base)


def read_files(spark: SparkSession, folder: str, names: Sequence[str], schema: StructType) -> DataFrame:
    """Read some Parquet files of a folder.

    Args:
        spark: session that reads by its own connector for the scheme, or else by tasks through fsspec.
        folder: path or URL of the folder.
        names: paths of the files relative to the folder, at least one; folders in them are not read as columns.
        schema: columns to read.

    Returns:
        The rows of all files, with the columns of `schema`.
    """
    native = connector_path(spark, folder)
    if native is not None:
        return spark.read.schema(schema).parquet(*[spark_path(join(native, name)) for name in names])
    _, stripped = open_fs(folder)
    return _read_by_name(spark, folder, schema, False, [join(stripped, name) for name in names], "")


def write_table(rows: DataFrame, path: str, partition_by: Sequence[str] = (), max_records: int = 0) -> None:
    """Write a dataset, replacing what was there.

    Args:
        rows: the rows, partitioned as the files are to be.
        path: path or URL of the dataset.
        partition_by: folder columns; rows must come sorted by them within each partition.
        max_records: most rows of a file; 0 for no bound.

    Raises:
        StageError: another process writes there at the same time.
    """
    native = connector_path(rows.sparkSession, path)
    if native is not None:
        writer = rows.write.mode("overwrite").option("maxRecordsPerFile", max_records)
        (writer.partitionBy(*partition_by) if partition_by else writer).parquet(write_path(native))
        count_written(path)
        return
    remove(path)
    folders = [column(name).cast("string").alias(f"_folder_{i}") for i, name in enumerate(partition_by)]
    kept = [column(name) for name in rows.columns if name not in partition_by]
    named = rows.select(F.spark_partition_id().cast("long").alias("_task"), *folders, *kept)
    writer_function = FileWriter(path, tuple(partition_by), max_records)
    _write_counted(named, writer_function, path)


def _write_counted(rows: DataFrame, writer: ArrowFunction, path: str) -> int:
    """Let tasks write a dataset, and record which of their files count; returns how many rows these have."""
    done = map_in_arrow(rows, writer, COUNT).collect()  # one row per task
    count_files(path, [file for row in done for file in row["files"]])
    return sum(row["rows"] for row in done)


def write_in_arrow(rows: DataFrame, function: ArrowFunction, path: str, schema: pa.Schema) -> None:
    """Write the rows that `map_in_arrow` would return as a dataset, replacing what was there.

    The tasks that run the function write its rows: these never reach Java, and Spark needs no connector.

    Args:
        rows: input of the function.
        function: runs in Spark's tasks over the Arrow batches of `rows`, and yields batches of `schema`.
        path: path or URL of the dataset.
        schema: columns of the single file that is written where the function yields no rows.
    """
    remove(path)
    if not _write_counted(rows, Written(function, path), path):
        _write_empty(path, schema)


def write_rows(rows: DataFrame, path: str, empty: bool = False) -> None:
    """Write a dataset of the run, replacing what was there.

    Args:
        rows: the rows, partitioned as the files are to be.
        path: path or URL of the dataset.
        empty: whether the caller knows that there are no rows; then one file without rows is written, by no Spark job.
    """
    if not empty:
        write_table(rows, path)
        return
    remove(path)
    _write_empty(path, arrow_schema(rows.schema))


def _write_empty(path: str, schema: pa.Schema) -> None:
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    write_bytes(join(path, _EMPTY), buffer.getvalue())
    count_files(path, [_EMPTY])


def map_in_arrow(rows: DataFrame, function: ArrowFunction, schema: StructType) -> DataFrame:
    """Return `DataFrame.mapInArrow` for a function that reads or writes storage.

    In the tasks it finds the driver's credentials; errors of this package that it raises are restored in the driver
    (`task_errors`).

    Args:
        rows: input of the function.
        function: runs in Spark's tasks over the Arrow batches of each partition of `rows`.
        schema: columns of the batches that the function yields.

    Returns:
        The rows that the function yields; nothing runs before an action.
    """
    return rows.mapInArrow(Sealed(_WithCredentials(function, credentials.of_this_process())), schema)


def kept_in_arrow(rows: DataFrame, function: ArrowFunction, schema: StructType, path: str) -> DataFrame:
    """Return `map_in_arrow`, whose rows an action that goes through all of them also leaves as a dataset.

    So rows that are costly to compute and needed twice are computed once, in the tasks of the first job that needs
    them. After that action, and before the dataset is read, `count_kept` records which files count.

    Args:
        rows: input of the function.
        function: runs in Spark's tasks over the Arrow batches of each partition of `rows`.
        schema: columns of the batches that the function yields.
        path: path or URL of the dataset, which is replaced at once by one without rows.
    """
    remove(path)
    _write_empty(path, arrow_schema(schema))
    return map_in_arrow(rows, Kept(function, path), schema)


def count_kept(path: str) -> None:
    """Record one complete attempt of each task as the files of a dataset that `kept_in_arrow` wrote.

    Args:
        path: path or URL of the dataset, as `kept_in_arrow` got it.
    """
    count_files(path, whole_attempts(find_files(path, ".parquet")) or [_EMPTY])


class _WithCredentials:
    """A function that is sent to Spark's tasks with credentials: never by configuration, which Spark shows."""

    def __init__(self, function: ArrowFunction, values: Mapping[str, str]) -> None:
        self._function, self._values = function, values

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        credentials.adopt(self._values)
        return self._function(batches)


_said: set[tuple[str, str]] = set()


def say_once(spark: SparkSession, words: str) -> None:
    """Log a warning once for each Spark application that this process has used.

    Args:
        spark: a classic session of the application.
        words: the warning; the same text is not logged again.
    """
    key = (spark.sparkContext.applicationId, words)
    if key not in _said:
        _said.add(key)
        log.warning(words)


# -- Spark's own connector -------------------------------------------------------------------------------------------


def _read_by_spark(
    spark: SparkSession,
    path: str,
    schema: StructType | None,
    location: bool,
    base: str | None,
    is_glob: bool,
    counted: Sequence[str] | None,
) -> DataFrame:
    """Read a dataset by Spark's own reader.

    Args:
        spark: session that reads.
        path: the dataset as the connector spells it (`connector_path`).
        schema: columns to read; None for those of the files.
        location: whether to add `file` and `row`.
        base: folder from which folder columns count; None for the path.
        is_glob: whether wildcards in the path are meant as such.
        counted: files that count, relative to the path; None where all of them do.
    """
    reader: Any = spark.read.format("parquet").option("pathGlobFilter", "*.parquet")
    if schema is not None:
        reader = reader.schema(schema)
    if base is not None:
        reader = reader.option("basePath", write_path(base))
    elif counted is not None:
        reader = reader.option("basePath", write_path(path))
    if counted == [] and schema is not None:
        return spark.createDataFrame([], schema)
    paths: Any = spark_glob(path) if is_glob else spark_path(path)
    if counted:
        paths = [spark_path(join(path, name)) for name in counted]
    rows: DataFrame = reader.load(paths)
    if not location:
        return rows
    where = [F.col("_metadata.file_path").alias("file"), F.col("_metadata.row_index").alias("row")]
    return rows.select(*[column(name) for name in rows.columns], *where)


# -- Spark's tasks themselves ----------------------------------------------------------------------------------------


def _read_schema(fs: Any, path: str, files: Sequence[str]) -> pa.Schema:
    if not files:
        raise StageError(f"{path}: no Parquet files there")
    try:
        with with_retries(path, lambda: fs.open(files[0], "rb")) as stream:
            return pq.read_schema(stream)
    except pa.ArrowException as error:
        raise unreadable(files[0], error) from error


def _read_by_name(
    spark: SparkSession, path: str, schema: StructType, location: bool, files: Sequence[str], base: str
) -> DataFrame:
    """Read files by tasks. Values of folders come as strings and are cast by Spark, as Spark's own reader does."""
    base = base.rstrip("/")
    values = [partition_values(file[len(base) :]) if base else {} for file in files]
    names = list(dict.fromkeys(name for value in values for name in value))
    folders = [field for field in schema.fields if field.name in names]
    stored = [field for field in schema.fields if field.name not in names]
    types = [arrow_type(field.dataType) for field in stored]
    reader = FileReader(path, [field.name for field in stored], types)
    rows = read_by_tasks(spark, reader, files, values, [field.name for field in folders])
    found = {field.name: F.col(f"folder{i}").cast(field.dataType) for i, field in enumerate(folders)}
    found |= {field.name: F.col(f"c{i}") for i, field in enumerate(stored)}
    columns = [found[name].alias(name) for name in schema.names]
    return rows.select(*columns, *([F.col("file"), F.col("row")] if location else []))


def read_by_tasks(
    spark: SparkSession,
    reader: FileReader,
    files: Sequence[str],
    values: Sequence[Mapping[str, str | None]],
    folders: Sequence[str],
    marks: Sequence[bytes] | None = None,
) -> DataFrame:
    """Return the rows that a reader yields; one task reads some whole files.

    Args:
        spark: session whose tasks read.
        reader: opens one file and yields its rows in Arrow batches.
        files: paths as the reader's file system spells them.
        values: for each file, the values of its folders by column name; None for null.
        folders: names of the folder columns that are wanted, in order.
        marks: for each file, see `uniner_dist.storage.table_version.TableVersion`; default: none.

    Returns:
        `folder0` …, the wanted folder columns as strings; `c0` …, the reader's columns in its types; `file` and `row`,
        which identify a row.
    """
    if not is_table_name(reader.path) and connector_path(spark, reader.path) is None:
        say_once(
            spark,
            f"{urlsplit(reader.path).scheme}:// is read and written by Spark's tasks through fsspec; "
            "a cluster whose Spark has a connector for it is faster",
        )
    out = [StructField(f"folder{i}", StringType()) for i in range(len(folders))]
    out += [StructField(f"c{i}", spark_type(kind)) for i, kind in enumerate(reader.types)]
    listed = spark.createDataFrame(
        [
            (file, [value.get(name) for name in folders], mark)
            for file, value, mark in zip(files, values, marks or [b""] * len(files), strict=True)
        ],
        "file string, folders array<string>, mark binary",
    )
    tasks = max(1, min(len(files), 8 * spark.sparkContext.defaultParallelism))
    return map_in_arrow(listed.repartition(tasks), reader, StructType([*out, *_LOCATION]))
