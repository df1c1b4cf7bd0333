"""The part of `spark.datasets` that runs in Spark's tasks, where these write Parquet files themselves.

Files appear whole, under names that only this attempt of the task gives, so attempts do not mix (`storage.attempts`).
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

from uniner_dist.storage.attempts import new_attempt, part_name
from uniner_dist.storage.filesystem import join, write_bytes
from uniner_dist.storage.hive import folder_name

#: A task's file is closed at this size, so that it can be held in memory and written whole.
_FILE_BYTES = 128 * 2**20
#: Result of a task that writes: the number of its rows, and its files, relative to the dataset.
COUNT = StructType([StructField("rows", LongType()), StructField("files", ArrayType(StringType()))])


ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class FileWriter:
    """The function of a Spark task that writes its rows of (`_task`, `_folder_0` …, columns) as files.

    Args:
        path: path or URL of the dataset.
        partition_by: folder columns; their values are in `_folder_0` …, in this order.
        max_records: most rows of a file; 0 for no bound.
    """

    def __init__(self, path: str, partition_by: tuple[str, ...] = (), max_records: int = 0) -> None:
        self._path, self._partition_by, self._max_records = path, partition_by, max_records

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write one file per run of rows of the same task and folder, and yield one row of `COUNT`."""
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
        """Pass the rows of a dataset without folders on, and write them as files.

        All files are written when the rows are exhausted, the last one only then.

        Args:
            task: number of the partition, which goes into the names of the files.
            batches: rows, passed on unchanged and in order.
            files: list to which the names of the files are appended, relative to the dataset; the last name says that
                the attempt is complete.

        Yields:
            The batches, as they came.
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
    """A function whose rows are passed on and written in the task that runs it.

    Args:
        function: function over Arrow batches that is run.
        path: path or URL of the dataset to write.
    """

    def __init__(self, function: ArrowFunction, path: str) -> None:
        self._function, self._writer = function, FileWriter(path)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the function's rows, and write all of them by the time that they are exhausted."""
        return self._writer.passing_on(_task_number(), self._function(batches), [])


class Written:
    """A function whose rows are written in the task that runs it; yields their number, and the files.

    Args:
        function: function over Arrow batches that is run.
        path: path or URL of the dataset to write.
    """

    def __init__(self, function: ArrowFunction, path: str) -> None:
        self._function, self._writer = function, FileWriter(path)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the function's rows, and yield one row of `COUNT`."""
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
