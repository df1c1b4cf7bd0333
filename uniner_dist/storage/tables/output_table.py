"""What a table over an output is made of: files, who changes them, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.storage.filesystem import join, open_fs


@dataclass(frozen=True)
class Change:
    """What one commit changes: files relative to the output, and who makes it (application, number), if a run."""

    added: Collection[str]
    gone: Collection[str]
    transaction: tuple[str, int] | None


@dataclass(frozen=True)
class NewFile:
    """A file that becomes live: relative to the output, with its bytes and rows."""

    name: str
    size: int
    rows: int


class OutputTable(Protocol):
    """A table over an output."""

    def live(self) -> frozenset[str]:
        """Its files, relative to the output."""

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one commit."""


#: Opens the table; a new one has the columns of the file that is given, and without one it is not made.
OpenTable = Callable[[str | None], OutputTable | None]


def table_schema(output: str, name: str, partition_by: Sequence[str]) -> pa.Schema:
    """Columns of a file, then its folders."""
    stored = [field.remove_metadata() for field in footer(output, name).schema.to_arrow_schema()]
    return pa.schema([*stored, *(pa.field(column, pa.string()) for column in partition_by)])


def footer(output: str, name: str) -> pq.FileMetaData:
    """The footer of one file of the output."""
    fs, path = open_fs(join(output, name))
    with fs.open(path, "rb") as stream:
        return pq.read_metadata(stream)
