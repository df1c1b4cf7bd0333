"""Nulls and largest integers of one column in some files, where its types differ between files.

The statistics in the footers tell this of most columns. Where a writer left none, or the column is nested, it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.storage.file_reader import unreadable
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.footers import REMOTE_THREADS, without_arrow_schema
from uniner_dist.storage.parquet_schemas import leaves_of
from uniner_dist.storage.retries import with_retries

_ROWS = 1 << 12


@dataclass(frozen=True)
class ColumnFacts:
    """Content of a column in one file.

    Attributes:
        all_null: whether all of its values are null.
        largest: the largest magnitude of its integers; None if it has none.
    """

    all_null: bool
    largest: int | None


def column_facts(path: str, files: Iterable[str], name: str) -> list[ColumnFacts]:
    """Look at some files again, for a column whose types differ between files.

    Args:
        path: any path or URL of the corpus, for its file system.
        files: files that have the column, as that file system spells them.
        name: of the column; a file may spell it with other upper and lower case.

    Returns:
        The facts of each file, in the order of `files`.

    Raises:
        StageError: a file cannot be read.
    """
    fs, _ = open_fs(path)

    def read(file: str) -> ColumnFacts:
        try:
            with with_retries(file, lambda: fs.open(file, "rb")) as stream:
                source = _open(stream)
                spelled = _spelled(source.schema_arrow.names, name)
                found = _of_footer(source.metadata, spelled)
                return _of_values(source, spelled) if found is None else found
        except (pa.ArrowException, EOFError, OSError) as error:
            raise unreadable(file, error) from error

    with ThreadPoolExecutor(REMOTE_THREADS) as pool:
        return list(pool.map(read, files))


def _open(stream: Any) -> Any:
    try:
        return pq.ParquetFile(stream)
    except pa.ArrowException:  # the writer stored Arrow types that are unknown to pyarrow
        stream.seek(0)
        return pq.ParquetFile(pa.BufferReader(without_arrow_schema(stream.read())))


def _spelled(names: list[str], name: str) -> str:
    return name if name in names else next(other for other in names if other.lower() == name.lower())


def _of_footer(metadata: Any, name: str) -> ColumnFacts | None:
    """Return what the statistics say; None if that is not enough."""
    parquet = metadata.schema
    leaves = [leaf for leaf in leaves_of(parquet, [name]) if f"{parquet.column(leaf).path}.".startswith(f"{name}.")]
    if len(leaves) != 1 or parquet.column(leaves[0]).max_definition_level > 1:
        return None
    largest, all_null = -1, True
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(leaves[0])
        statistics = chunk.statistics
        if statistics is None or not statistics.has_null_count:
            return None
        if statistics.null_count == chunk.num_values:
            continue
        all_null = False
        if not statistics.has_min_max:
            return None
        if isinstance(statistics.min, int):
            largest = max(largest, abs(statistics.min), abs(statistics.max))
    return ColumnFacts(all_null, largest if largest >= 0 else None)


def _of_values(source: Any, name: str) -> ColumnFacts:
    largest, all_null = -1, True
    for batch in source.iter_batches(_ROWS, columns=[name]):
        values = batch.column(batch.schema.get_field_index(name))
        if values.null_count == len(values):
            continue
        all_null = False
        if not pa.types.is_integer(values.type):
            break
        ends = pc.min_max(values).as_py()
        largest = max(largest, abs(ends["min"]), abs(ends["max"]))
    return ColumnFacts(all_null, largest if largest >= 0 else None)
