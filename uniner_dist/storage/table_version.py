"""One version of a table, as values from its log or metadata. Pure; nothing is read.

A table is a corpus whose files are not those of a folder: its log says which are live, what the partition values of
each are, which of their rows are deleted, and under which names and types columns are stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.core.hashing import digest

#: Reader of one live file by the table's own library: mark of the file, column names → batches.
ReadFile = Callable[[bytes, Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class TableVersion:
    """A table at one version.

    Attributes:
        format: name of the table's format.
        table_id: the table's own UUID; a table that was created again has another.
        version: number of a Delta version; of an Iceberg table the snapshot and the schema, as `snapshot.schema`.
        schema: the table's columns in their declared types, partition columns among them.
        stored_names: name of a column → its name in the files, for columns that have another one there.
        renamed_inside: nested columns that have fields with other names in the files.
        deleted: how many rows of each file are deleted.
        marks: what a task needs of each file besides its name: which rows are deleted, or the library's scan task.
        values: values of the columns that are not in the files, for each file; None for null.
        rows: number of rows of each file, where its footer need not be read; else None.
        rows_are_exact: whether it is known before reading how many rows are live.
        newest: whether it is meant to be the present state of the corpus; False where a run resumes with an earlier
            one.
        read_file: reads a live file where the format's own library does; None where pyarrow does, by the marks.
    """

    format: Literal["Delta", "Iceberg"]
    table_id: str
    version: str
    schema: pa.Schema
    deleted: tuple[int, ...]
    marks: tuple[bytes, ...]
    stored_names: Mapping[str, str] = field(default_factory=dict)
    renamed_inside: frozenset[str] = frozenset()
    values: tuple[Mapping[str, str | None], ...] = ()
    rows: tuple[int, ...] | None = None
    rows_are_exact: bool = True
    newest: bool = True
    read_file: ReadFile | None = None

    @property
    def apart(self) -> tuple[str, ...]:
        """Columns whose values the log has, and not the files."""
        return tuple(self.values[0]) if self.values else ()

    @property
    def digest(self) -> str:
        """Hash that replaces the one over files: a version never changes."""
        return digest({"table": self.table_id, "format": self.format, "version": self.version})

    @property
    def words(self) -> str:
        """Name of the version in messages: `Delta version 3`, `Iceberg snapshot 123`."""
        return format_version(self.format, self.version)


def format_version(table_format: str, version: str) -> str:
    """Return the name of a version for messages, without the schema of an Iceberg snapshot.

    Args:
        table_format: "Delta" or "Iceberg".
        version: as `TableVersion.version` has it.
    """
    return f"{table_format} {'version' if table_format == 'Delta' else 'snapshot'} {version.partition('.')[0]}"


def deletion_mark(deleted: npt.NDArray[np.bool_]) -> bytes:
    """Return which rows of a file are deleted, as compressed bits; empty bytes where none is.

    Args:
        deleted: one boolean per row of the file, True for a deleted one; rows after the end of the array are not
            deleted.
    """
    return zlib.compress(np.packbits(deleted).tobytes()) if deleted.any() else b""


def deleted_rows(mark: bytes) -> npt.NDArray[np.bool_]:
    """Return which rows of a file are deleted, the inverse of `deletion_mark`.

    Args:
        mark: bytes that `deletion_mark` made; empty: no row is deleted.

    Returns:
        One boolean per row. The array may be longer than the one that was marked, by rows that are not deleted, and it
        may be shorter than the file.
    """
    return np.unpackbits(np.frombuffer(zlib.decompress(mark), np.uint8)).astype(bool) if mark else np.zeros(0, bool)


def value_text(value: Any) -> str | None:
    """Return a partition value as a string that casts back to its type; None for null and the empty string.

    Args:
        value: the value as Python has it, of any type but bytes.
    """
    if value is None or value == "":  # Delta stores both as null
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
