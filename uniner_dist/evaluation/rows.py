"""Rows of a Parquet dataset with their folder columns, in batches, from any fsspec path.

A path and column names enter, Arrow batches leave. Folder columns (`domain=ai/`) are always strings as spelled: nothing
guesses that `001` is a number. Files are opened one by one, so they may differ in columns nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.listing import list_corpus

#: How Hive, and so Spark, spells a folder column that is null.
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
#: Rows read at a time; a row of long documents may hold thousands of mentions.
_BATCH_ROWS = 8192
#: The same where rows are short and become numbers.
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    Args:
        fs: its file system.
        path: as that file system spells it.
        folders: values of the folder columns, by name; None where the column is null.
    """

    fs: Any
    path: str
    folders: dict[str, str | None]

    @cached_property
    def _footer(self) -> Any:
        with self.fs.open(self.path, "rb") as stream:
            return pq.read_metadata(stream)

    @property
    def rows(self) -> int:
        """How many rows the file has, from its footer."""
        return int(self._footer.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Columns stored in the file, without the folder columns."""
        return self._footer.schema.to_arrow_schema()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, folder columns last."""
        return tuple(dict.fromkeys([*self.schema.names, *self.folders]))

    def batches(self, columns: Sequence[str], rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Batches of `columns` in that order; folder columns win over a column of the file of the same name."""
        stored = [name for name in columns if name not in self.folders]
        with self.fs.open(self.path, "rb") as stream:
            for batch in pq.ParquetFile(stream).iter_batches(rows, columns=stored):
                arrays = [
                    _repeat(self.folders[name], batch.num_rows) if name in self.folders else batch.column(name)
                    for name in columns
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def list_dataset(name: str, path: str) -> list[DataFile]:
    """The files of a Parquet dataset (file, folder, glob or Hive dataset).

    Args:
        name: what the dataset is called in error messages.

    Raises:
        ConfigError: nothing readable there.
    """
    try:
        listing = list_corpus(path)
    except ConfigError as error:
        raise ConfigError([_renamed(problem, name) for problem in error.problems]) from error
    fs, _ = open_fs(path)
    return [DataFile(fs, file, _folders(file[len(listing.base) :])) for file in listing.files]


def check_columns(name: str, path: str, file: DataFile, wanted: Sequence[str]) -> None:
    """Raises ConfigError if the file lacks a wanted column; the message lists what is there."""
    missing = [column for column in wanted if column not in file.columns]
    if missing:
        there = ", ".join(file.columns)
        raise ConfigError(f"{name} {path}: has no column {', '.join(missing)}; columns there: {there}")


def _folders(relative: str) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for folder in relative.split("/")[:-1]:
        column, sign, value = folder.partition("=")
        if sign:
            values[unquote(column)] = None if value == _NULL_FOLDER else unquote(value)
    return values


def _repeat(value: str | None, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)


def _renamed(problem: str, name: str) -> str:
    return f"{name} {problem.removeprefix('corpus ')}" if problem.startswith("corpus ") else problem
