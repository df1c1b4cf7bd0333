"""Rows of Parquet files by their position: finding those of some values, and taking them out without touching the rest.

Works on whole files, row group by row group; what is not taken out keeps its columns, order and the file's metadata.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.errors import first_line
from uniner_dist.storage.filesystem import open_fs, read_bytes, remove, write_bytes
from uniner_dist.storage.retries import StorageError, with_retries

T = TypeVar("T")
Positions = npt.NDArray[np.int64]


def without_rows(data: bytes, rows: Sequence[int] | Positions, **options: Any) -> tuple[bytes, int]:
    """Copy a Parquet file in memory without the rows at these positions.

    Columns, order and metadata stay; the compression becomes zstd. Row groups that lose all their rows are left out.

    Args:
        data: a whole Parquet file.
        rows: positions in the file, from 0, in any order.
        options: further options of `pyarrow.parquet.ParquetWriter`.

    Returns:
        The bytes of the new file, and how many rows it has.
    """
    file, buffer, kept, begin = pq.ParquetFile(io.BytesIO(data)), io.BytesIO(), 0, 0
    drop = np.zeros(file.metadata.num_rows, dtype=bool)
    drop[np.asarray(rows, dtype=np.int64)] = True
    with pq.ParquetWriter(buffer, file.schema_arrow, compression="zstd", **options) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            stays = table.filter(pa.array(~drop[begin : begin + table.num_rows]))
            begin, kept = begin + table.num_rows, kept + stays.num_rows
            if stays.num_rows:
                writer.write_table(stays)
    return buffer.getvalue(), kept


def find_rows(path: str, column: Sequence[str], values: pa.Array) -> tuple[int, Positions]:
    """Find the rows of a file whose column has one of some values.

    Reads only the footer, and the column in row groups whose statistics do not rule the values out.

    Args:
        path: path or URL of a Parquet file.
        column: its name, or the names of a struct and a field of it.
        values: strings or integers; those that the column's type cannot hold match nothing.

    Returns:
        How many rows the file has, and the positions of those found, from 0, ascending.

    Raises:
        FileNotFoundError: the file is gone.
        StorageError: it cannot be read, or is not a whole Parquet file.
    """
    return _look_into(path, lambda file: _find_rows(file, column, values))


def _look_into(path: str, look: Callable[[pq.ParquetFile], T]) -> T:
    def read() -> T:
        fs, stripped = open_fs(path)
        with fs.open(stripped, "rb") as stream:
            return look(pq.ParquetFile(stream))

    try:
        return with_retries(path, read)
    except pa.ArrowException as error:
        raise StorageError(f"{path}: is damaged or not ours ({first_line(error)})") from error


def _find_rows(file: pq.ParquetFile, column: Sequence[str], values: pa.Array) -> tuple[int, Positions]:
    outer, *inner = column
    wanted = fitting(values, _type_of(file, column))
    name = ".".join(column)
    place = [file.schema.column(i).path for i in range(len(file.schema))].index(name)
    begin, found = 0, [np.zeros(0, dtype=np.int64)]
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        if len(wanted) and _may_hold(metadata.column(place).statistics, wanted):
            read = file.read_row_group(group, columns=[name])[outer].combine_chunks()
            read = read.field(inner[0]) if inner else read
            found.append(begin + np.flatnonzero(np.asarray(pc.is_in(read, value_set=wanted))))
        begin += metadata.num_rows
    return begin, np.concatenate(found)


def column_type(path: str, column: Sequence[str]) -> pa.DataType:
    """Return the type of a file's column.

    Args:
        path: path or URL of a Parquet file.
        column: its name, or the names of a struct and a field of it.

    Raises:
        FileNotFoundError: the file is gone.
        StorageError: it cannot be read, or is not a whole Parquet file.
    """
    return _look_into(path, lambda file: _type_of(file, column))


def _type_of(file: pq.ParquetFile, column: Sequence[str]) -> pa.DataType:
    outer, *inner = column
    kind = file.schema_arrow.field(outer).type
    return kind.field(inner[0]).type if inner else kind


def fitting(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return those of the values that a type can hold, as an array of that type.

    Args:
        values: strings or integers; an integer type takes those whose text is exactly that of an integer ("7", not
            "007" or "7 "), any other type takes the text of a value.
        kind: type of the column that they are looked for in.
    """
    fits = []
    for text in map(str, values.to_pylist()):
        try:
            if not pa.types.is_integer(kind):
                fits.append(pa.scalar(text, kind))
            elif str(int(text)) == text:
                fits.append(pa.scalar(int(text), kind))
        except (ValueError, OverflowError, pa.ArrowInvalid):
            continue
    return pa.array([scalar.as_py() for scalar in fits], kind)


def _may_hold(statistics: Any, wanted: pa.Array) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = statistics.min, statistics.max
    return any(low <= value <= high for value in wanted.to_pylist())


def erase(path: str, rows: Positions, keep_empty: bool = False, **options: Any) -> int:
    """Remove rows from a file in place; a file without rows is deleted.

    The checksum that Hadoop keeps of the file as it was is removed too.

    Args:
        path: path or URL of a Parquet file, which is replaced as a whole.
        rows: positions in the file, from 0.
        keep_empty: keep a file without rows, so that the dataset keeps its columns.
        options: further options of `pyarrow.parquet.ParquetWriter`.

    Returns:
        How many rows are left.
    """
    data, kept = without_rows(read_bytes(path), rows, **options)
    folder, _, name = path.rpartition("/")
    remove(f"{folder}/.{name}.crc")  # Hadoop's checksum of the file as it was
    if kept or keep_empty:
        write_bytes(path, data)
    else:
        remove(path)
    return kept


def has_values(path: str, column: str) -> bool:
    """Return whether a column of a file holds any value.

    Args:
        path: path or URL of a Parquet file.
        column: name of a column that may be null.
    """
    file = pq.ParquetFile(io.BytesIO(read_bytes(path)))
    parts = (file.read_row_group(group, columns=[column])[column] for group in range(file.num_row_groups))
    return any(part.null_count < len(part) for part in parts)


def drop_values(path: str, column: str) -> bool:
    """Set all values of a column of a file to null, in place; the column itself stays.

    The checksum that Hadoop keeps of the file as it was is removed too.

    Args:
        path: path or URL of a Parquet file, which is replaced as a whole.
        column: name of a column that may be null.

    Returns:
        Whether the column held any value; if not, the file was left alone.
    """
    file, buffer = pq.ParquetFile(io.BytesIO(read_bytes(path))), io.BytesIO()
    place = file.schema_arrow.get_field_index(column)
    values = [file.read_row_group(group, columns=[column])[column] for group in range(file.num_row_groups)]
    if all(part.null_count == len(part) for part in values):
        return False
    with pq.ParquetWriter(buffer, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table, field = file.read_row_group(group), file.schema_arrow.field(place)
            writer.write_table(table.set_column(place, field, pa.nulls(table.num_rows, field.type)))
    folder, _, name = path.rpartition("/")
    remove(f"{folder}/.{name}.crc")  # Hadoop's checksum of the file as it was
    write_bytes(path, buffer.getvalue())
    return True
