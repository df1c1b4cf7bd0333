"""Folders of Delta, Iceberg and Hudi tables, which are not plain Parquet datasets.

Such a folder holds the Parquet files of every version of its table: deleted rows, overwritten rows, and rows of
transactions that never committed. Which files and rows are live is written in the table's log alone.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import is_local
from uniner_dist.storage.place_layout import EARLIER_MARKER, FLAT_MARKER, MARKER_FOLDER
from uniner_dist.storage.retries import StorageError, with_retries

_DELTA = ("Delta", "_delta_log")
_HUDI = ("Hudi", ".hoodie")
#: Hudi puts this file into every partition folder.
_HUDI_PARTITION = ".hoodie_partition_metadata"
_ICEBERG_FOLDER = "metadata"
_ICEBERG_FILE = re.compile(r"\.metadata\.json(\.gz)?$")
_ANY_MARKER = re.compile(r"(^|/)(_delta_log|\.hoodie[^/]*|metadata)(/|$)")


@dataclass(frozen=True)
class TableFolder:
    """The root folder of a table, the name of its format, and the file or folder by which it was recognised."""

    root: str
    format: str
    marker: str


def refuse_tables(path: str, fs: Any, places: Iterable[str], listed: Iterable[str], files: Iterable[str]) -> None:
    """Refuse a corpus that is a table, lies inside of one, or has one inside.

    Args:
        path: the corpus as the user gave it, for the message.
        fs: fsspec file system of the corpus.
        places: folders or files that were asked for, without wildcards: the folders above them are looked at.
        listed: every name found when the corpus was listed, hidden ones too.
        files: the Parquet files that would be read.

    Raises:
        ConfigError: naming the table's format and the file or folder that shows it.
    """
    for place in places:
        for table in _tables_above(fs, os.path.realpath(place) if is_local(fs) else place):
            if not _is_own(fs, table):
                raise ConfigError(_message(path, table))
    inside = {table.root: table for table in _tables_among(fs, listed)}
    folders = {folder for file in files for folder in _folders_above(file)} if inside else set()
    for root in sorted(inside):
        if root in folders and not _is_own(fs, inside[root]):
            raise ConfigError(_message(path, inside[root]))


def _is_own(fs: Any, table: TableFolder) -> bool:
    """Whether a table is kept over an output of this program: all files of the folder are the table's live ones."""
    markers = ((MARKER_FOLDER, "directory"), (FLAT_MARKER, "file"), (EARLIER_MARKER, "file"))
    return table.format != _HUDI[0] and any(_is_there(fs, f"{table.root}/{name}", kind) for name, kind in markers)


def _message(path: str, table: TableFolder) -> str:
    return (
        f"corpus {path}: {table.root} is the folder of {'an' if table.format == 'Iceberg' else 'a'} {table.format} "
        f"table ({table.marker} is there), whose Parquet files hold deleted and overwritten rows too; {_instead(table)}"
    )


def _instead(table: TableFolder) -> str:
    if table.format == _HUDI[0]:
        return "write the live rows to a folder of Parquet files, and give that as the corpus"
    return f"give the table itself as the corpus: {table.root}, or its name in a catalog (docs/tables.md)"


def _tables_among(fs: Any, listed: Iterable[str]) -> Iterator[TableFolder]:
    for name in listed:
        if not _ANY_MARKER.search(name):
            continue
        parts = name.split("/")
        for place, part in enumerate(parts):
            root = "/".join(parts[:place])
            if part == _DELTA[1]:
                yield TableFolder(root, *_DELTA)
            elif part in (_HUDI[1], _HUDI_PARTITION):
                yield TableFolder(root, _HUDI[0], part)
            elif part == _ICEBERG_FOLDER and place == len(parts) - 2 and is_iceberg(fs, name):
                yield TableFolder(root, "Iceberg", f"{part}/{parts[-1]}")
            elif part == _ICEBERG_FOLDER and place == len(parts) - 1:  # a pattern's listing may end here
                yield from _iceberg_in(fs, name)


def _tables_above(fs: Any, place: str) -> Iterator[TableFolder]:
    for folder in (place, *_folders_above(place)):
        for kind, marker in (_DELTA, _HUDI):
            if _is_there(fs, f"{folder}/{marker}", "directory"):
                yield TableFolder(folder, kind, marker)
        if _is_there(fs, f"{folder}/{_HUDI_PARTITION}", "file"):
            yield TableFolder(folder, _HUDI[0], _HUDI_PARTITION)
        yield from _iceberg_in(fs, f"{folder}/{_ICEBERG_FOLDER}")


def _iceberg_in(fs: Any, metadata: str) -> Iterator[TableFolder]:
    if _is_there(fs, metadata, "directory"):
        names = with_retries(metadata, lambda: fs.ls(metadata, detail=False))
        yield from _tables_among(fs, [str(name) for name in names if name != metadata])


def _folders_above(path: str) -> Iterator[str]:
    """Folders above a path, the nearest first; neither the root of a file system nor a bare scheme."""
    while "/" in path:
        path = path.rsplit("/", 1)[0]
        if not path or path.endswith("/"):
            return
        yield path


def _is_there(fs: Any, path: str, kind: str) -> bool:
    """Whether a folder or file is there; one that may not be looked at counts as absent."""
    try:
        return bool(with_retries(path, lambda: fs.info(path))["type"] == kind)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except StorageError as error:
        if isinstance(error.__cause__, PermissionError):
            return False
        raise


def is_iceberg(fs: Any, name: str) -> bool:
    """Return whether a file is the metadata of an Iceberg table: these have a `format-version`.

    Args:
        fs: fsspec file system of the file.
        name: path of the file as the file system spells it; only one that is named like metadata is read.

    Raises:
        FileNotFoundError: the file is gone.
        StorageError: it cannot be read.
    """
    if not _ICEBERG_FILE.search(name):
        return False
    data: bytes = with_retries(name, lambda: fs.cat_file(name))
    return b'"format-version"' in (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)
