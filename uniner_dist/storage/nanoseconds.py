"""Timestamps that microseconds cannot hold: everything that reads a corpus here counts microseconds, as Spark does.

A footer has the smallest and the largest value of a column, which are enough to recognise most columns with such
values. Where they are not, the column is read, once per run and before Spark starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_STEP: Final = 1000
_ROWS: Final = 1 << 16

#: Opens the file as a stream of bytes.
Open = Callable[[], Any]


def nanosecond_leaves(parquet: Any, leaves: Iterable[int]) -> tuple[int, ...]:
    """Return those columns of a Parquet schema that count nanoseconds; those stored as INT96 do.

    Args:
        parquet: pyarrow's `ParquetSchema`.
        leaves: numbers of the leaf columns to look at.
    """
    return tuple(leaf for leaf in leaves if _counts_nanoseconds(parquet.column(leaf)))


def _counts_nanoseconds(column: Any) -> bool:
    if column.physical_type == "INT96":
        return True
    logical = json.loads(column.logical_type.to_json())
    return bool(logical["Type"] == "Timestamp" and logical["timeUnit"] == "nanoseconds")


def find_cut_off(open_file: Open, metadata: Any, leaves: Sequence[int]) -> str | None:
    """Return the path of the first column with a timestamp that is no whole microsecond, or None.

    Args:
        open_file: opens the Parquet file for reading; called only if statistics do not decide.
        metadata: pyarrow's footer of the file.
        leaves: numbers of the leaf columns to check, as `nanosecond_leaves` returns them.

    Raises:
        pa.ArrowException, OSError: the file cannot be read.
    """
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    known = (leaf for leaf in leaves if any(_is_known_to_cut_off(group.column(leaf)) for group in groups))
    found = next(known, None)
    if found is None:
        found = next((leaf for leaf in leaves if _cuts_off(open_file, metadata.schema.column(leaf))), None)
    return None if found is None else str(metadata.schema.column(found).path)


def _is_known_to_cut_off(chunk: Any) -> bool:
    """Whether the statistics alone show a value that is no whole microsecond."""
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max or chunk.physical_type == "INT96":
        return False
    return any(value % _STEP for value in (statistics.min_raw, statistics.max_raw))


def _cuts_off(open_file: Open, column: Any) -> bool:
    with open_file() as stream:
        exact = _batches(stream, column.path, "ns")
        if column.physical_type != "INT96":
            return any(bool(np.any(values % _STEP)) for values in exact)
        # INT96 reaches further than 64 bits of nanoseconds, which overflow alike on both sides.
        with open_file() as again, np.errstate(over="ignore"):
            pairs = zip(exact, _batches(again, column.path, "us"), strict=True)
            return any(bool(np.any(values != rounded * _STEP)) for values, rounded in pairs)


def _batches(stream: Any, path: str, unit: str) -> Iterator[Any]:
    """Integers of a column at any level of nesting; INT96 in the unit."""
    source = pq.ParquetFile(stream, coerce_int96_timestamp_unit=unit)
    for batch in source.iter_batches(_ROWS, columns=[path], use_threads=False):
        values = batch.column(0)
        while pa.types.is_nested(values.type):
            inner = values.flatten()
            values = inner[0] if pa.types.is_struct(values.type) else inner
        yield pc.drop_null(values).cast(pa.int64()).to_numpy()
