"""Snapshot of a corpus: its present files and their footers. Reads listings and footers, never rows.

The hash of the listing is part of the run's id, so a changed corpus is another run. A snapshot is pinned with its run:
footers are read once, when the run is first started.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from uniner_dist.storage.column_types import read_type
from uniner_dist.storage.control_files import PinnedFooters, PinnedSchema
from uniner_dist.storage.footers import FileSchema, Footers, Trait, read_footers
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.listing import Listing
from uniner_dist.storage.table_version import TableVersion
from uniner_dist.storage.tables.open import open_corpus


@dataclass(frozen=True)
class Snapshot(Footers):
    """A listing with its footers. For the attributes see `Listing` and `Footers`."""

    listing: Listing

    @property
    def path(self) -> str:
        """The corpus as the user gave it."""
        return self.listing.path

    @property
    def base(self) -> str:
        """The folder that partition columns count from."""
        return self.listing.base

    @property
    def partitions(self) -> tuple[str, ...]:
        """Folder columns."""
        return self.listing.partitions

    @property
    def table(self) -> TableVersion | None:
        """The version of a table; None for plain Parquet."""
        return self.listing.table

    @property
    def folders(self) -> tuple[str, ...]:
        """Columns that the files do not store: those of folders, or of a table's log."""
        return self.listing.partitions if self.table is None else self.table.apart

    @property
    def values(self) -> Sequence[Mapping[str, str | None]]:
        """Values of `folders`, for each file."""
        if self.table is not None:
            return self.table.values or ({},) * len(self.files)
        return [partition_values(file[len(self.base) :]) for file in self.files]

    @property
    def rows_are_exact(self) -> bool:
        """Whether `rows` are exactly the live ones; else there may be fewer."""
        return self.table is None or self.table.rows_are_exact

    def folder_type(self, name: str) -> pa.DataType:
        """Return the type of one of `folders`: a string as spelled, or the table's type.

        Args:
            name: one of `folders`.
        """
        return pa.string() if self.table is None else read_type(self.table.schema.field(name).type)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files, as the file system spells them."""
        return self.listing.files

    @property
    def plain(self) -> bool:
        """Whether a reader that is given the folder finds these files and no others."""
        return self.listing.plain

    @property
    def digest(self) -> str:
        """Hash over names, sizes and versions of the files."""
        return self.listing.digest

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return self.listing.total_bytes

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns that any file stores, in the order in which they appear; of a table those that it has."""
        if self.table is not None:
            return tuple(name for name in self.table.schema.names if name not in self.folders)
        return tuple(dict.fromkeys(name for schema in self.schemas for name in schema.schema.names))


def take_snapshot(path: str, columns: Sequence[str] | None = None) -> Snapshot:
    """List a corpus (file, folder, pattern, dataset of partition folders, or table) and read all footers.

    Args:
        path: path, URL or glob of the corpus, or the name of a table.
        columns: those that are going to be read; default: all.

    Returns:
        The listing with its footers; of a table the newest version.

    Raises:
        ConfigError: nothing there, a table's folder, files that cannot be read, or folders that disagree about the
            partition columns.
    """
    listing = open_corpus(path)
    return with_footers(listing, footers_of(listing, columns))


def footers_of(listing: Listing, columns: Sequence[str] | None = None) -> Footers:
    """Read the footers of a listing.

    Args:
        listing: the corpus as listed.
        columns: those that are going to be read, by the names that the corpus gives them; None: all.

    Returns:
        One entry per file, in the order of the listing. Of a table, rows are counted without the deleted ones; where
        its metadata counts the rows of each file, nothing is read and all files get the table's own schema.

    Raises:
        ConfigError: see `read_footers`; a file of a table's version is gone.
    """
    table = listing.table
    if table is None:
        return read_footers(listing, columns)
    if table.rows is not None:
        count = len(listing.files)
        return Footers(table.rows, (0,) * count, (Trait.LIBRARY,) * count, (FileSchema(table.schema, False),))
    footers = read_footers(listing, columns and [table.stored_names.get(name, name) for name in columns])
    live = tuple(rows - deleted for rows, deleted in zip(footers.rows, table.deleted, strict=True))
    return replace(footers, rows=live)


def with_footers(listing: Listing, footers: Footers) -> Snapshot:
    """Return a snapshot of a listing and its footers.

    Args:
        listing: the corpus as listed.
        footers: of the same files, in the same order.
    """
    return Snapshot(footers.rows, footers.schema_of, footers.traits, footers.schemas, listing)


def to_pinned(snapshot: Snapshot, columns: Sequence[str]) -> PinnedFooters:
    """Return the part of a snapshot that is stored; the files themselves are listed again each time.

    Args:
        snapshot: a listing with footers.
        columns: those that the footers were read for.
    """
    schemas = [
        PinnedSchema(arrow=base64.b64encode(schema.schema.serialize()).decode(), opaque=schema.opaque)
        for schema in snapshot.schemas
    ]
    return PinnedFooters(
        snapshot=snapshot.digest,
        columns=tuple(sorted(columns)),
        rows=snapshot.rows,
        schema_of=snapshot.schema_of,
        traits={str(place): trait.value for place, trait in enumerate(snapshot.traits) if trait},
        schemas=tuple(schemas),
    )


def from_pinned(pinned: PinnedFooters) -> Footers:
    """Return footers as they were stored, the inverse of `to_pinned`.

    Args:
        pinned: the content of a run's file of footers.

    Raises:
        ValueError: it is inconsistent.
        pa.ArrowException: a schema in it is damaged.
    """
    count = len(pinned.rows)
    if len(pinned.schema_of) != count or max(pinned.schema_of, default=0) >= len(pinned.schemas):
        raise ValueError("footers without a schema")
    schemas = [
        FileSchema(pa.ipc.read_schema(pa.BufferReader(base64.b64decode(entry.arrow))), entry.opaque)
        for entry in pinned.schemas
    ]
    traits = [Trait(pinned.traits.get(str(place), "")) for place in range(count)]
    return Footers(pinned.rows, pinned.schema_of, tuple(traits), tuple(schemas))
