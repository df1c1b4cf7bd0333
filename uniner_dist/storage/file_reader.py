"""Rows of whole files of a corpus, without those that its table has marked as deleted.

Takes Arrow batches with names of files. Spark's tasks run this where Spark's own reader cannot read a file, or would
read other values. Nothing here needs Spark, so other code may run it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.errors import StageError, first_line
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.footers import without_arrow_schema
from uniner_dist.storage.retries import with_retries
from uniner_dist.storage.table_version import ReadFile, deleted_rows

Rows = npt.NDArray[np.int64]

#: Rows that a task hands to Spark at a time; a corpus may have texts of a megabyte.
_ROWS_PER_BATCH = 256
#: Most bytes of such a batch, and its rows where a row group has more bytes than Arrow's strings can hold.
_BATCH_BYTES = 64 << 20
_ROWS_OF_LARGE = 32


class FileReader:
    """Spark's task: reads whole files, given as rows of (`file`, `folders`, `mark`).

    It yields `folder0` …, the values of folders; `c0` …, the columns; `file` and `row`, which name a row. For marks see
    `table_version.TableVersion`.

    Args:
        path: any path of the dataset, for its file system.
        names: columns of the files to read; one that a file lacks is null, as for Spark.
        types: what each is read as; a value that its type cannot hold unchanged is an error.
        opaque: see `uniner_dist.storage.footers.FileSchema`.
        longest: bytes of the longest string that is read whole; longer ones are cut, see `cut`. None: no limit.
        read_file: reader of one file by the table's own library; None: pyarrow reads it.
    """

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        types: Sequence[pa.DataType],
        opaque: bool = False,
        longest: int | None = None,
        read_file: ReadFile | None = None,
    ) -> None:
        self._path, self._names, self._types, self._opaque = path, tuple(names), tuple(types), opaque
        self._longest, self._read_file = longest, read_file

    @property
    def path(self) -> str:
        """A path of the dataset."""
        return self._path

    @property
    def types(self) -> tuple[pa.DataType, ...]:
        """What each column is read as."""
        return self._types

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of each file of (`file`, `folders`, `mark`)."""
        for batch in batches:
            columns = (batch.column(i).to_pylist() for i in range(3))
            for file, folders, mark in zip(*columns, strict=True):
                yield from self.rows_of(file, folders, mark)

    def rows_of(self, file: str, folders: Sequence[str | None], mark: bytes) -> Iterator[pa.RecordBatch]:
        """Yield the live rows of one file in batches of at most 256 rows and 64 MiB, or of one larger row.

        Args:
            file: the file, as the dataset's file system spells it.
            folders: its values of the folder columns, as strings; they become `folder0`, `folder1` … in this order.
            mark: from `table_version.TableVersion.marks`; empty bytes for a file of plain Parquet.

        Yields:
            Batches with the columns that the class describes; some may be empty.

        Raises:
            StageError: it cannot be read, or has a value that its type cannot hold.
        """
        source = self._by_pyarrow(file, mark) if self._read_file is None else self._by_library(self._read_file, mark)
        try:
            for batch, rows in source:
                yield from pieces(self._batch(batch, file, folders, rows))
        except (pa.ArrowException, EOFError, OSError) as error:
            raise unreadable(file, error) from error

    def _by_pyarrow(self, file: str, mark: bytes) -> Iterator[tuple[pa.RecordBatch, Rows]]:
        """Yield batches of live rows, and the number of each row in the file."""
        begin, deleted, fs = 0, deleted_rows(mark), open_fs(self._path)[0]
        with with_retries(file, lambda: fs.open(file, "rb")) as stream:
            data = pa.BufferReader(without_arrow_schema(stream.read())) if self._opaque else stream
            source = pq.ParquetFile(data, coerce_int96_timestamp_unit="us")
            wanted = [name for name in self._names if name in source.schema_arrow.names]
            for group in range(source.num_row_groups):
                step = _rows_per_batch(source.metadata.row_group(group))
                for batch in source.iter_batches(step, row_groups=[group], columns=wanted):
                    rows = np.arange(begin, begin + batch.num_rows)
                    begin += batch.num_rows
                    gone = deleted[rows[0] : begin] if batch.num_rows else deleted[:0]
                    if gone.any():
                        live = np.append(~gone, np.ones(batch.num_rows - len(gone), bool))
                        batch, rows = batch.filter(pa.array(live)), rows[live]
                    yield batch, rows

    def _by_library(self, read_file: ReadFile, mark: bytes) -> Iterator[tuple[pa.RecordBatch, Rows]]:
        """Yield the same from a table's library, which leaves deleted rows out: the numbers count live rows."""
        begin = 0
        for batch in read_file(mark, self._names):
            for start in range(0, batch.num_rows, _ROWS_PER_BATCH):
                part = batch.slice(start, _ROWS_PER_BATCH)
                yield part, np.arange(begin, begin + part.num_rows)
                begin += part.num_rows

    def _batch(self, batch: pa.RecordBatch, file: str, folders: Sequence[str | None], rows: Rows) -> pa.RecordBatch:
        count = batch.num_rows
        arrays: list[pa.Array] = [pa.array([value] * count, pa.string()) for value in folders]
        names = [f"folder{i}" for i in range(len(folders))]
        for i, (name, kind) in enumerate(zip(self._names, self._types, strict=True)):
            if name in batch.schema.names:
                arrays.append(cut(_conform(batch.column(name), kind, f"{file}: column {name}"), self._longest))
            else:
                arrays.append(pa.nulls(count, kind))
            names.append(f"c{i}")
        arrays += [pa.array([file] * count, pa.string()), pa.array(rows, pa.int64())]
        return pa.RecordBatch.from_arrays(arrays, names=[*names, "file", "row"])


def unreadable(file: str, error: Exception) -> StageError:
    """Return the error for a file of which pyarrow reads the footer and not the values.

    The file need not be damaged: DuckDB 2.0, for example, has an encoding of integers that pyarrow 26 does not decode.

    Args:
        file: the file, as it is to be named in the message.
        error: what pyarrow or the file system raised; the first line of its message is quoted.
    """
    return StageError(
        f"{file} cannot be read ({first_line(error)}): it is damaged, or written as pyarrow {pa.__version__} does not "
        "read it; write it again, or leave it out, and start again"
    )


def _rows_per_batch(group: Any) -> int:
    """Return how many rows of a row group are read at a time, from their average size."""
    if group.total_byte_size <= _BATCH_BYTES:
        return _ROWS_PER_BATCH
    wanted = int(_BATCH_BYTES * group.num_rows / group.total_byte_size)
    return max(1, min(wanted, _ROWS_PER_BATCH if group.total_byte_size < 2**31 else _ROWS_OF_LARGE))


def cut(values: pa.Array, longest: int | None) -> pa.Array:
    """Return strings with at most one byte more than `longest`; everything else as it is.

    Args:
        values: a column of a batch; only values of the types string and large_string are cut.
        longest: bytes of the longest string that is wanted whole; None cuts nothing. A cut string has one byte more, by
            which it is recognised, and may end inside of a UTF-8 character.
    """
    if longest is None or not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    raw = values.view(pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary())
    if (pc.max(pc.binary_length(raw)).as_py() or 0) <= longest:
        return values
    return pc.binary_slice(raw, 0, longest + 1).view(values.type)


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts of at most 64 MiB, or of one row where a row is larger.

    Args:
        batch: rows that a task is going to hand over; halved until its parts are small enough, without copies.
    """
    if batch.num_rows <= 1 or batch.nbytes <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from pieces(batch.slice(0, half))
    yield from pieces(batch.slice(half))


def _conform(values: pa.Array, kind: pa.DataType, where: str) -> pa.Array:
    """Return the same values in the type that Spark gets them in; strings are not checked to be UTF-8.

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
        raise StageError(f"{where} has a value that {kind} cannot hold unchanged ({first_line(error)})") from error
