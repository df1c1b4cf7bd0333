"""Values and interface of a table over an output: its files, the change of one commit, and the columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import StageError
from uniner_dist.storage.filesystem import join, open_fs
from uniner_dist.storage.retries import with_retries


@dataclass(frozen=True)
class Change:
    """What one commit changes; files are named relative to the output.

    Attributes:
        added: files that come; none of these names was there before.
        gone: files that go.
        transaction: the publication of a run: application id, and how often the run has been published; None if no run
            makes the change.
        empty: files that exist and have no rows; they are not part of the table.
    """

    added: Collection[str]
    gone: Collection[str]
    transaction: tuple[str, int] | None
    empty: Collection[str] = ()


@dataclass(frozen=True)
class NewFile:
    """A file that becomes live: its name relative to the output, its size in bytes, and its number of rows."""

    name: str
    size: int
    rows: int


class OutputTable(Protocol):
    """A table over an output."""

    def live(self) -> frozenset[str]:
        """Return the table's live files, relative to the output.

        A file that has lost rows in the table alone has another name: `LESS` is appended.
        """

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one commit.

        Args:
            added: files that become live.
            gone: live files that go, relative to the output.
            transaction: recorded with the commit, see `Change`.

        Raises:
            StageError: the commit failed.
        """


#: Suffix of the name of a file whose rows are not all live.
LESS = ", less some rows"

#: Opens the table; a new one has the columns of the file that is given, and with None it is not created.
OpenTable = Callable[[str | None], OutputTable | None]


def table_schema(output: str, name: str, partition_by: Sequence[str]) -> pa.Schema:
    """Return the columns of a table over an output: those of a file, then the folder columns, which are strings.

    Args:
        output: path or URL of the published dataset.
        name: a file of it, relative to the output.
        partition_by: folder columns of the output.
    """
    stored = [field.remove_metadata() for field in footer(output, name).schema.to_arrow_schema()]
    return pa.schema([*stored, *(pa.field(column, pa.string()) for column in partition_by)])


def footer(output: str, name: str) -> pq.FileMetaData:
    """Return the footer of one file of the output.

    Args:
        output: path or URL of the published dataset.
        name: the file, relative to the output.

    Raises:
        FileNotFoundError: it is gone.
        StorageError: it cannot be read.
    """
    fs, path = open_fs(join(output, name))

    def read() -> pq.FileMetaData:
        with fs.open(path, "rb") as stream:
            return pq.read_metadata(stream)

    return with_retries(join(output, name), read)


def require_partitions(output: str, found: Sequence[str], partition_by: Sequence[str]) -> None:
    """Make sure that the table of an output has the output's partitions.

    Args:
        output: path or URL of the output, for the message.
        found: columns by which the table is partitioned, in order.
        partition_by: folder columns of the output, in order.

    Raises:
        StageError: they differ.
    """
    if list(found) != list(partition_by):
        raise StageError(f"{output}: the partitions of its table were changed by another program")
