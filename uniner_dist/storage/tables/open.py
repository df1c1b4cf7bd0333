"""A corpus by its path: plain Parquet, or a table at a version. Only here the two are told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from uniner_dist.config.data import CorpusConfig
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import exists, join, list_names, open_fs, read_bytes
from uniner_dist.storage.listing import Listing, is_glob, list_corpus
from uniner_dist.storage.marker_file import is_output
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.table_formats import is_iceberg
from uniner_dist.storage.table_names import METADATA_FILE, TABLE, is_table_name
from uniner_dist.storage.tables.delta import open_delta
from uniner_dist.storage.tables.iceberg import open_iceberg_catalog, open_iceberg_file


@dataclass(frozen=True)
class Wanted:
    """Which version of a table is wanted; the newest where all attributes are None.

    Attributes:
        version: number of a Delta version; id of an Iceberg snapshot, or the name of a branch or tag.
        as_of: a time; the version that was the newest one then.
        pinned: `TableVersion.version` of a run that is resumed.
    """

    version: int | str | None = None
    as_of: datetime | None = None
    pinned: str | None = None

    @classmethod
    def of(cls, corpus: CorpusConfig, pinned: str | None = None) -> Wanted:
        """Return the version that a configuration wants; times without a zone are UTC.

        Args:
            corpus: the section with `version` and `as_of`.
            pinned: `TableVersion.version` of the run that is resumed, which alone counts then; None for a new run.
        """
        if pinned is not None:
            return cls(pinned=pinned)
        as_of = corpus.as_of if corpus.as_of is None or corpus.as_of.tzinfo else corpus.as_of.replace(tzinfo=UTC)
        return cls(corpus.version, as_of)


NEWEST = Wanted()


def open_corpus(path: str, wanted: Wanted = NEWEST) -> Listing:
    """List a corpus: a table at the wanted version, or Parquet as it is now.

    Args:
        path: path, URL or glob, or the name of a table in a catalog of pyiceberg's.
        wanted: the version of a table; plain Parquet has none.

    Returns:
        The files that are read; `table` is None for plain Parquet.

    Raises:
        ConfigError: see `list_corpus`; or the version does not exist, or the table cannot be read.
        StorageError: storage fails while the table is looked for or read.
    """
    if is_table_name(path):
        return open_iceberg_catalog(path, wanted.version, wanted.as_of, wanted.pinned)
    if METADATA_FILE.search(path):
        return open_iceberg_file(path, path, wanted.version, wanted.as_of, wanted.pinned)
    try:
        is_table = not is_glob(path) and not is_output(path)  # an output's files are its table's present
        is_delta = is_table and exists(join(path, "_delta_log"))
        metadata = _iceberg_metadata(path) if is_table and not is_delta else None
    except StorageError:
        if wanted != NEWEST:
            raise
        return list_corpus(path)  # which reports it in its own words
    if is_delta:
        return open_delta(path, _delta_version(path, wanted), wanted.as_of)
    if metadata is not None:
        return open_iceberg_file(path, metadata, wanted.version, wanted.as_of, wanted.pinned)
    if wanted != NEWEST:
        raise ConfigError(f"corpus {path}: is plain Parquet, which has no versions; leave corpus.version and as_of out")
    return list_corpus(path)


def _delta_version(path: str, wanted: Wanted) -> int | None:
    found = wanted.pinned if wanted.pinned is not None else wanted.version
    if found is None:
        return None
    if not re.fullmatch(r"\d{1,18}", str(found)):
        raise ConfigError(f"corpus {path}: corpus.version of a Delta table is a number, not {found!r}")
    return int(found)


def _iceberg_metadata(path: str) -> str | None:
    """The metadata file that an Iceberg folder's hint names; None for a folder that is no Iceberg table.

    Raises:
        ConfigError: it has no hint. Files are not in order of their names, and the newest one may not be the table's.
    """
    folder = join(path, "metadata")
    names = [name for name in list_names(folder) if METADATA_FILE.search(name)] if exists(folder) else []
    fs, stripped = open_fs(folder)
    if not any(is_iceberg(fs, f"{stripped}/{name}") for name in names):
        return None
    hint = join(folder, "version-hint.text")
    if not exists(hint):
        raise ConfigError(
            f"corpus {path}: is the folder of an Iceberg table without metadata/version-hint.text, so which of its "
            f"{len(names)} metadata files is the table's is known to its catalog alone; give the table as "
            f"{TABLE}CATALOG.SCHEMA.NAME, or one metadata file, such as {join(folder, names[-1])}"
        )
    said = read_bytes(hint).decode("utf-8", "replace").strip()
    for name in (said, f"v{said}.metadata.json", f"{said}.metadata.json", f"v{said}.gz.metadata.json"):
        if name in names:
            return join(folder, name)
    raise ConfigError(f"corpus {path}: metadata/version-hint.text names {said!r}, which is not there")
