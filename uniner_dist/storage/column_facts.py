"""What the footers of some files say of the values of one column, where its types differ between files."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.footers import REMOTE_THREADS, leaves_of
from uniner_dist.storage.retries import with_retries


@dataclass(frozen=True)
class ColumnFacts:
    """What a footer says of a column's values.

    Attributes:
        all_null: whether it holds nothing but nulls.
        largest: the largest magnitude of its integers, None if that is not known.
    """

    all_null: bool
    largest: int | None


def column_facts(path: str, files: Iterable[str], name: str) -> list[ColumnFacts]:
    """Look at some files again, of a column whose types differ between files."""
    fs, _ = open_fs(path)

    def read(file: str) -> ColumnFacts:
        with with_retries(file, lambda: fs.open(file, "rb")) as stream:
            return _facts(pq.read_metadata(stream), name)

    with ThreadPoolExecutor(REMOTE_THREADS) as pool:
        return list(pool.map(read, files))


def _facts(metadata: Any, name: str) -> ColumnFacts:
    leaves = leaves_of(metadata.schema, [name])
    nulls, values, largest, known = 0, 0, 0, len(leaves) == 1
    for group in range(metadata.num_row_groups):
        for leaf in leaves:
            chunk = metadata.row_group(group).column(leaf)
            statistics = chunk.statistics
            values += chunk.num_values
            nulls += statistics.null_count if statistics is not None and statistics.has_null_count else 0
            if statistics is not None and statistics.has_min_max and isinstance(statistics.min, int):
                largest = max(largest, abs(statistics.min), abs(statistics.max))
            elif statistics is None or not statistics.has_null_count or statistics.null_count < chunk.num_values:
                known = False
    return ColumnFacts(all_null=nulls == values, largest=largest if known else None)
