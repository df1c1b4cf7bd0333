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
    """What one commit changes, in files relative to the output.

    Attributes:
        added: files that come; none of these names was there before.
        gone: files that go.
        transaction: who makes it (application, number), if a run does.
        empty: files that are there and have no rows, which are none of the table's.
    """

    added: Collection[str]
    gone: Collection[str]
    transaction: tuple[str, int] | None
    empty: Collection[str] = ()


@dataclass(frozen=True)
class NewFile:
    """A file that becomes live: relative to the output, with its bytes and rows."""

    name: str
    size: int
    rows: int


class OutputTable(Protocol):
    """A table over an output."""

    def live(self) -> frozenset[str]:
        """Its files, relative to the output; of those that lost rows in the table alone other names."""

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one commit."""


#: What is put behind the name of a file whose rows are not all live.
LESS = ", less some rows"

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
