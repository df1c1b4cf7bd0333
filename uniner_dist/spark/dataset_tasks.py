"""What Spark's tasks do where they read and write Parquet files themselves: `spark.datasets` puts them to work.

Enters: Arrow batches of names of files, or of rows. Leaves: rows, or files. Files appear whole, under names that only
this attempt of the task gives, so attempts do not mix (`storage.attempts`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from uniner_dist.errors import StageError
from uniner_dist.storage.attempts import new_attempt, part_name
from uniner_dist.storage.filesystem import join, open_fs, write_bytes
from uniner_dist.storage.footers import without_arrow_schema
from uniner_dist.storage.hive import folder_name
from uniner_dist.storage.retries import with_retries

#: A task's file is closed at this size, so that it can be held in memory and written whole.
_FILE_BYTES = 128 * 2**20
#: Rows that a task hands to Spark at a time; a corpus may have texts of a megabyte.
_ROWS_PER_BATCH = 256
#: Bytes that such a batch should have at most, and rows of it where a row group has more than Arrow's strings hold.
_BATCH_BYTES = 64 << 20
_ROWS_OF_LARGE = 32
#: What tasks that write say of it: how many rows, and in which files, relative to the dataset.
COUNT = StructType([StructField("rows", LongType()), StructField("files", ArrayType(StringType()))])


ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class FileReader:
    """Spark's task: rows of whole files, of (`file`, `folders`).

    It yields `folder0` …, the values of folders; `c0` …, the columns; `file` and `row`, which name a row.

    Args:
        path: any path of the dataset, for its file system.
        names: columns of the files to read; one that a file lacks is null, as for Spark.
        types: what each is read as; a value that its type cannot hold unchanged is an error.
        opaque: see `uniner_dist.storage.footers.FileSchema`.
        longest: bytes of a string; of a longer one only one byte more comes, by which it is known.
    """

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        types: Sequence[pa.DataType],
        opaque: bool = False,
        longest: int | None = None,
    ) -> None:
        self._path, self._names, self._types, self._opaque = path, tuple(names), tuple(types), opaque
        self._longest = longest

    @property
    def path(self) -> str:
        """A path of the dataset."""
        return self._path

    @property
    def types(self) -> tuple[pa.DataType, ...]:
        """What each column is read as."""
        return self._types

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        fs, _ = open_fs(self._path)
        for batch in batches:
            for file, folders in zip(*(batch.column(i).to_pylist() for i in (0, 1)), strict=True):
                yield from self._read(fs, file, folders)

    def _read(self, fs: Any, file: str, folders: Sequence[str | None]) -> Iterator[pa.RecordBatch]:
        begin = 0
        try:
            with with_retries(file, lambda: fs.open(file, "rb")) as stream:
                data = pa.BufferReader(without_arrow_schema(stream.read())) if self._opaque else stream
                source = pq.ParquetFile(data, coerce_int96_timestamp_unit="us")
                wanted = [name for name in self._names if name in source.schema_arrow.names]
                for group in range(source.num_row_groups):
                    rows = _rows_per_batch(source.metadata.row_group(group))
                    for batch in source.iter_batches(rows, row_groups=[group], columns=wanted):
                        yield from pieces(self._batch(batch, file, folders, begin))
                        begin += batch.num_rows
        except (pa.ArrowException, EOFError, OSError) as error:
            words = str(error).strip().splitlines()[0]
            raise StageError(f"{file} cannot be read ({words}); repair or remove this file and start again") from error

    def _batch(self, batch: pa.RecordBatch, file: str, folders: Sequence[str | None], begin: int) -> pa.RecordBatch:
        count = batch.num_rows
        arrays: list[pa.Array] = [pa.array([value] * count, pa.string()) for value in folders]
        names = [f"folder{i}" for i in range(len(folders))]
        for i, (name, kind) in enumerate(zip(self._names, self._types, strict=True)):
            if name in batch.schema.names:
                arrays.append(cut(_conform(batch.column(name), kind, f"{file}: column {name}"), self._longest))
            else:
                arrays.append(pa.nulls(count, kind))
            names.append(f"c{i}")
        arrays += [pa.array([file] * count, pa.string()), pa.array(np.arange(begin, begin + count), pa.int64())]
        return pa.RecordBatch.from_arrays(arrays, names=[*names, "file", "row"])


def _rows_per_batch(group: Any) -> int:
    """Rows of a row group that are read at a time, from what they have on average."""
    if group.total_byte_size <= _BATCH_BYTES:
        return _ROWS_PER_BATCH
    wanted = int(_BATCH_BYTES * group.num_rows / group.total_byte_size)
    return max(1, min(wanted, _ROWS_PER_BATCH if group.total_byte_size < 2**31 else _ROWS_OF_LARGE))


def cut(values: pa.Array, longest: int | None) -> pa.Array:
    """Strings with at most one byte more than `longest`; everything else as it is."""
    if longest is None or not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    raw = values.view(pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary())
    if (pc.max(pc.binary_length(raw)).as_py() or 0) <= longest:
        return values
    return pc.binary_slice(raw, 0, longest + 1).view(values.type)


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts that are not larger than a task should hand over, or of one row."""
    if batch.num_rows <= 1 or batch.nbytes <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from pieces(batch.slice(0, half))
    yield from pieces(batch.slice(half))


def _conform(values: pa.Array, kind: pa.DataType, where: str) -> pa.Array:
    """The same values in the type that Spark gets them in; strings are not looked at.

    Raises:
        StageError: a value does not fit, such as nanoseconds that are no whole microseconds.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if values.type == kind:
        return values
    try:
        return pc.cast(values, options=pc.CastOptions(kind, allow_invalid_utf8=True))
    except pa.ArrowException as error:
        words = str(error).strip().splitlines()[0]
        raise StageError(f"{where} has a value that {kind} cannot hold unchanged ({words})") from error


class FileWriter:
    """Spark's task: writes its rows of (`_task`, `_folder_0` …, columns) as files; yields how many, and which."""

    def __init__(self, path: str, partition_by: tuple[str, ...] = (), max_records: int = 0) -> None:
        self._path, self._partition_by, self._max_records = path, partition_by, max_records

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.RecordBatch] = []
        place: tuple[Any, ...] | None = None
        attempt, files, rows = new_attempt(), list[str](), 0
        for piece, data in self._pieces(batches):
            full = self._is_full(held, data.num_rows)
            if held and (piece != place or full):
                files.append(self._write(place, attempt, len(files), held))
                held = []
            place = piece
            held.append(data)
            rows += data.num_rows
        if held:
            files.append(self._write(place, attempt, len(files), held))
        yield _count(rows, files)

    def passing_on(self, task: int, batches: Iterator[pa.RecordBatch], files: list[str]) -> Iterator[pa.RecordBatch]:
        """The same rows of a table without folders, written by the time that the last one was taken.

        Args:
            files: is given the names of the files; the last one says that the attempt came to its end.
        """
        held: list[pa.RecordBatch] = []
        attempt = new_attempt()
        for batch in batches:
            if held and self._is_full(held, batch.num_rows):
                files.append(self._write((task,), attempt, len(files), held))
                held = []
            held.append(batch)
            yield batch
        if held:
            files.append(self._write((task,), attempt, len(files), held, last=True))

    def _is_full(self, held: Sequence[pa.RecordBatch], more: int) -> bool:
        too_many = self._max_records and sum(batch.num_rows for batch in held) + more > self._max_records
        return bool(too_many) or sum(batch.nbytes for batch in held) > _FILE_BYTES

    def _pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[tuple[Any, ...], pa.RecordBatch]]:
        """Runs of rows of one task and folder, no longer than a file may be."""
        keys = 1 + len(self._partition_by)
        for batch in batches:
            columns = [batch.column(i) for i in range(keys)]
            data = batch.select(batch.schema.names[keys:])
            begin = 0
            for end in [*_borders(columns), batch.num_rows]:
                place = tuple(values[begin].as_py() for values in columns) if end > begin else ()
                step = self._max_records or max(end - begin, 1)
                for start in range(begin, end, step):
                    yield place, data.slice(start, min(step, end - start))
                begin = end

    def _write(
        self,
        place: tuple[Any, ...] | None,
        attempt: str,
        number: int,
        held: list[pa.RecordBatch],
        last: bool = False,
    ) -> str:
        """Write a file; returns its path, relative to the dataset."""
        assert place is not None
        task, *values = place
        folders = [folder_name(name, value or "") for name, value in zip(self._partition_by, values, strict=True)]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_batches(held), buffer, compression="zstd")
        file = "/".join([*folders, part_name(task, attempt, number, last)])
        write_bytes(join(self._path, file), buffer.getvalue())
        return file


class Kept:
    """A function whose rows are passed on and written in the task that runs it."""

    def __init__(self, function: ArrowFunction, path: str) -> None:
        self._function, self._writer = function, FileWriter(path)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return self._writer.passing_on(_task_number(), self._function(batches), [])


class Written:
    """A function whose rows are written in the task that runs it; yields how many there were, and the files."""

    def __init__(self, function: ArrowFunction, path: str) -> None:
        self._function, self._writer = function, FileWriter(path)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        files: list[str] = []
        passed = self._writer.passing_on(_task_number(), self._function(batches), files)
        rows = sum(batch.num_rows for batch in passed)
        yield _count(rows, files)


def _count(rows: int, files: Sequence[str]) -> pa.RecordBatch:
    arrays = [pa.array([rows], pa.int64()), pa.array([list(files)], pa.list_(pa.string()))]
    return pa.RecordBatch.from_arrays(arrays, names=["rows", "files"])


def _task_number() -> int:
    """The number of this task among those of its stage, the same when it is tried again."""
    context = TaskContext.get()
    return context.partitionId() if context is not None else 0


def _borders(columns: Sequence[pa.Array]) -> list[int]:
    """Rows at which any of the columns has another value than in the row before."""
    changed: set[int] = set()
    for values in columns:
        codes = pc.fill_null(pc.dictionary_encode(values, null_encoding="encode").indices, -1).to_numpy()
        changed.update((np.flatnonzero(np.diff(codes)) + 1).tolist())
    return sorted(changed)
