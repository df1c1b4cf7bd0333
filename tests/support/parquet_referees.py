"""What pyarrow and DuckDB find in a corpus, file by file, as rows that can be compared whatever their types."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from tests.support.parquet_corpora import RandomCorpus

#: A row in a form that means the same for all readers.
Row = str


def rows_by_pyarrow(corpus: RandomCorpus) -> list[Row]:
    """Each file by `pyarrow.parquet`, the values of its folders by `pyarrow.dataset`."""
    return _rows(corpus, lambda file: pq.ParquetFile(file).read())


def rows_by_duckdb(corpus: RandomCorpus) -> list[Row]:
    """Each file by DuckDB, in UTC; the values of its folders by `pyarrow.dataset`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")

        def read(file: str) -> pa.Table:
            return connection.read_parquet(_as_pattern(file), hive_partitioning=False).to_arrow_table()

        return _rows(corpus, read)


def folders_by_duckdb(corpus: RandomCorpus) -> list[Row]:
    """The values of the folders of every row, all files at once; an empty one is null here."""
    columns = ", ".join(f"nullif(\"{name}\", '')" for name in corpus.folders) or "1"
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT {columns} FROM read_parquet(?, hive_partitioning = {bool(corpus.folders)}, "
            "hive_types_autocast = false, union_by_name = true)",
            [[_as_pattern(file) for file in _files(corpus)]],
        ).fetchall()
    return sorted(repr(row if corpus.folders else ()) for row in found)


def folders_of(rows: pa.Table, corpus: RandomCorpus) -> list[Row]:
    """The same of rows that were read."""
    return sorted(repr(tuple(row[name] for name in corpus.folders)) for row in rows.to_pylist())


def rows_of(rows: pa.Table) -> list[Row]:
    """Rows that were read, sorted."""
    return sorted(repr([plain(value) for value in row.values()]) for row in rows.to_pylist())


def plain(value: Any) -> Any:
    """One form for what means the same: numbers of any type, dates and midnights, instants, structs without nulls."""
    if isinstance(value, bool | int | Decimal):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(value) if math.isfinite(value) else str(value)
    if isinstance(value, dt.datetime):
        value = dt.datetime.fromisoformat(value.isoformat(timespec="microseconds"))  # pandas has its own
        return value if value.tzinfo is None else value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in sorted(value.items()) if item is not None}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _files(corpus: RandomCorpus) -> list[str]:
    return sorted(str(Path(folder, name)) for folder, _, names in os.walk(corpus.path) for name in names)


def _as_pattern(file: str) -> str:
    return "".join(f"[{sign}]" if sign in "[*?" else sign for sign in file)


def _rows(corpus: RandomCorpus, read: Callable[[str], pa.Table]) -> list[Row]:
    partitioning = pads.partitioning(pa.schema([(name, pa.string()) for name in corpus.folders]), flavor="hive")
    found = []
    for file in _files(corpus):
        folders = pads.get_partition_keys(partitioning.parse(file[len(corpus.path) + 1 :]))
        values = [folders.get(name) or None for name in corpus.folders]
        for row in read(file).to_pylist():
            found.append(repr([plain(row.get(name)) for name in corpus.stored] + values))
    return sorted(found)
