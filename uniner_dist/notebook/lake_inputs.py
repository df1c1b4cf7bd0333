"""Tables of deltalake and pyiceberg, read through the notebook's own object: at its version, with its credentials.

Nothing is imported; the data has imported its library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

#: What has rows and is no Arrow data itself, by the module of its class.
_CLASSES = {"deltalake.table": ("DeltaTable",), "pyiceberg.table": ("Table", "StaticTable", "DataScan")}


def is_lake_table(data: Any) -> bool:
    """Return whether this is a table of deltalake, a table of pyiceberg, or a scan of one.

    Args:
        data: any object.
    """
    return any(kind.__name__ in _CLASSES.get(kind.__module__, ()) for kind in type(data).__mro__)


def lake_columns(data: Any) -> list[str]:
    """Return the names of a table's columns; of a scan those that it selects.

    Args:
        data: a Delta or Iceberg table, or a scan.
    """
    if hasattr(data, "projection"):  # a scan of pyiceberg
        return [field.name for field in data.projection().fields]
    return [field.name for field in data.schema().fields]


def lake_batches(data: Any, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Return an iterator over the live rows, in no defined order; deleted ones are left out.

    Args:
        data: a Delta table at its version, an Iceberg table at its current snapshot, or a scan with its filter.
        names: columns to read; a batch may have them in another order.
    """
    if hasattr(data, "projection"):
        return iter(data.select(*names).to_arrow_batch_reader())
    if type(data).__module__.startswith("deltalake"):
        return (pa.record_batch(batch) for batch in data.scan(columns=list(names)))
    return iter(data.scan(selected_fields=tuple(names)).to_arrow_batch_reader())


def lake_pieces(data: Any, names: Sequence[str], rows: int, limit: int | None) -> Iterator[pa.Table]:
    """Yield the live rows as tables of `rows` rows, with the columns in the order of `names`.

    Args:
        data: a Delta or Iceberg table, or a scan.
        names: columns to read.
        rows: rows of each table; the last one may have fewer.
        limit: stop after this number of rows; None: all.
    """
    batches = lake_batches(data, names)
    parts = (batch.slice(start, rows) for batch in batches for start in range(0, batch.num_rows, rows))
    held: list[pa.RecordBatch] = []
    left = limit
    for part in parts:
        part = part.select(list(names))
        if left is not None:
            part = part.slice(0, left)
            left -= part.num_rows
        held.append(part)
        if sum(batch.num_rows for batch in held) >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
        if left == 0:
            break
    if any(batch.num_rows for batch in held):
        yield pa.Table.from_batches(held)


def lake_table(data: Any) -> pa.Table:
    """Return the whole table; without rows its columns have no types.

    Args:
        data: a Delta or Iceberg table, or a scan.
    """
    names = lake_columns(data)
    batches = list(lake_batches(data, names))
    if batches:
        return pa.Table.from_batches(batches)
    return pa.table({name: pa.nulls(0) for name in names})
