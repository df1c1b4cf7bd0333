"""Rows of a Parquet dataset with their folder columns, in batches, from any fsspec path.

Yields Arrow batches of the columns that are named. Folder columns (`domain=ai/`) are always strings as spelled: nothing
guesses that `001` is a number. Files are opened one by one, so they may differ in columns nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.spark.catalog import table_location
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.snapshot import Snapshot, footers_of, with_footers
from uniner_dist.storage.tables.open import open_corpus

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
        fs: its fsspec file system.
        path: path of the file, as that file system spells it.
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

    def batches(
        self,
        columns: Sequence[str],
        rows: int = _BATCH_ROWS,
        encoded: Sequence[str] = (),
        without: Mapping[str, str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read batches of `columns`, in that order; folder columns win over a column of the file of the same name.

        Args:
            columns: names of columns of the file or of its folders.
            rows: rows of a batch at most.
            encoded: columns that may come as dictionaries, which is cheaper where few values are repeated.
            without: nested column → name of its field that is not read.

        Yields:
            Batches with exactly these columns, in the order of the file's rows.
        """
        stored = [name for name in columns if name not in self.folders]
        schema = self.schema
        short = [name for name in encoded if name in stored and pa.types.is_string(schema.field(name).type)]
        with self.fs.open(self.path, "rb") as stream:
            parquet = pq.ParquetFile(stream, read_dictionary=short)
            paths = _paths(parquet, stored, without or {})
            for batch in parquet.iter_batches(rows, columns=paths):
                arrays = [
                    _repeat(self.folders[name], batch.num_rows, name in encoded)
                    if name in self.folders
                    else batch.column(name)
                    for name in columns
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same batches; while one is used, the next one is read in another thread.

    Args:
        batches: read by one thread at a time; an error in it is raised here.
    """
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(next, batches, None)
        while (batch := reading.result()) is not None:
            reading = pool.submit(next, batches, None)
            yield batch


class TableFile(DataFile):
    """A table at its newest version, as if it were one file.

    Args:
        path: path, URL or name of the table, for messages.
        snapshot: listing of that version, with the row counts of its files.
    """

    def __init__(self, path: str, snapshot: Snapshot) -> None:
        super().__init__(None, path, {})
        object.__setattr__(self, "_snapshot", snapshot)
        self._snapshot: Snapshot

    @property
    def rows(self) -> int:
        """How many rows it has, at most."""
        return sum(self._snapshot.rows)

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        assert self._snapshot.table is not None
        return self._snapshot.table.schema

    def batches(
        self,
        columns: Sequence[str],
        rows: int = _BATCH_ROWS,
        encoded: Sequence[str] = (),
        without: Mapping[str, str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read batches of the rows that the table has at that version; deleted ones are left out.

        Args:
            columns: names of columns of the table.
            rows: ignored, like the next two, which only make reading a `DataFile` cheaper.
            encoded: ignored.
            without: ignored.

        Yields:
            Batches of these columns.
        """
        yield from rows_of(self._snapshot, columns)


def list_dataset(name: str, path: str) -> list[DataFile]:
    """Return the files of a Parquet dataset (file, folder, glob or Hive dataset); of a table, the whole as one.

    Args:
        name: what the dataset is called in error messages.
        path: path, URL or glob of the dataset, or the name of a table.

    Raises:
        ConfigError: nothing readable there.
    """
    try:
        path = table_location(path)
        listing = open_corpus(path)
        if listing.table is not None:
            return [TableFile(path, with_footers(listing, footers_of(listing)))]
    except ConfigError as error:
        raise ConfigError([_renamed(problem, name) for problem in error.problems]) from error
    fs, _ = open_fs(path)
    return [DataFile(fs, file, _folders(file[len(listing.base) :])) for file in listing.files]


def check_columns(name: str, path: str, file: DataFile, wanted: Sequence[str]) -> None:
    """Check that a file has the wanted columns.

    Args:
        name: what the dataset is called in the message.
        path: path of the dataset, for the message.
        file: any file of the dataset; only its footer is read.
        wanted: names of columns that must be in the file or in its folders.

    Raises:
        ConfigError: a column is missing; the message lists the columns that exist.
    """
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


def _paths(parquet: pq.ParquetFile, columns: Sequence[str], without: Mapping[str, str]) -> list[str]:
    """Columns, or the fields of those of which one is not wanted."""
    leaves = [parquet.schema.column(number).path for number in range(len(parquet.schema))]
    paths: list[str] = []
    for name in columns:
        fields = [path for path in leaves if path.startswith(f"{name}.")]
        wanted = [path for path in fields if not path.endswith(f".{without.get(name)}")]
        paths += [name] if len(wanted) in (0, len(fields)) else wanted
    return paths


def _repeat(value: str | None, rows: int, encoded: bool) -> pa.Array:
    if not encoded:
        return pa.repeat(pa.scalar(value, pa.string()), rows)
    indices = pa.repeat(pa.scalar(None if value is None else 0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([value or ""], pa.string()))


def _renamed(problem: str, name: str) -> str:
    return f"{name} {problem.removeprefix('corpus ')}" if problem.startswith("corpus ") else problem
