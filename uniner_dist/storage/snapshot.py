"""What a corpus consists of right now: its Parquet files, its schema, its partition columns, and a hash of all that.

Reads listings and one footer, never rows. The hash is part of the run id, so a changed corpus is another run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import glob_translate

from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import is_storage_error, open_fs, storage_words
from uniner_dist.storage.table_formats import refuse_tables

#: Endings that make a file part of a corpus.
SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True)
class Snapshot:
    """A corpus as found: `files` as the file system spells them, `partitions` the Hive folder columns.

    `base` is the folder the partition columns count from, as Spark's `basePath`: the path without its glob part and
    without folders like `domain=ai` at its end, so that one partition of a corpus keeps its column.
    """

    files: tuple[str, ...]
    base: str
    partitions: tuple[str, ...]
    schema: pa.Schema
    digest: str
    total_bytes: int


def take_snapshot(path: str) -> Snapshot:
    """List the corpus (file, folder, glob or Hive dataset) and read the schema of its first file.

    Raises:
        ConfigError: nothing there, nothing readable, or folders that disagree about the partition columns.
    """
    base = _base(path)
    fs, stripped = open_fs(path)
    found, seen = _list(path)
    infos = {name: info for name, info in found.items() if _is_data(name[len(base) :])}
    # A folder is listed whole, so its own marks are seen there; the folders above it are not.
    refuse_tables(path, fs, [_without_wildcards(stripped) if is_glob(path) else stripped], seen, infos)
    if not infos:
        raise ConfigError(f"corpus {path}: no Parquet files there (.parquet, .parq or .pq; hidden files do not count)")
    files = sorted(infos)
    layouts = {_partition_names(file[len(base) :]) for file in files}
    if len(layouts) > 1:
        shown = " and ".join("/".join(layout) or "no partition" for layout in sorted(layouts)[:3])
        raise ConfigError(f"corpus {path}: folders disagree about the partition columns: {shown}")
    stamps = {file[len(base) :]: [info.get("size"), _version(info)] for file, info in infos.items()}
    return Snapshot(
        files=tuple(files),
        base=base,
        partitions=layouts.pop(),
        schema=_read_schema(path, files[0]),
        digest=digest(stamps),
        total_bytes=sum(int(info.get("size") or 0) for info in infos.values()),
    )


def _base(path: str) -> str:
    parts = open_fs(path)[1].split("/")
    if not is_glob(path) and parts[-1].endswith(SUFFIXES):
        parts.pop()
    parts = _without_wildcards("/".join(parts)).split("/")
    while len(parts) > 1 and "=" in parts[-1]:
        parts.pop()
    return "/".join(parts)


def _without_wildcards(path: str) -> str:
    """The folders before the first that has a wildcard."""
    parts = path.split("/")
    return "/".join(parts[: next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))])


def is_glob(path: str) -> bool:
    """Whether the path holds a wildcard."""
    return any(sign in path for sign in "*?[")


def _list(path: str) -> tuple[dict[str, dict[str, Any]], Iterable[str]]:
    """Files of the corpus as name → details, and every name that was seen on the way, folders and hidden ones too."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        if is_glob(path):
            return _list_glob(fs, stripped)
        if not fs.exists(stripped):
            raise ConfigError(f"corpus {path}: is not there")
        files = dict(fs.find(stripped, detail=True))
        return files, files
    except PermissionError as error:
        raise ConfigError(f"corpus {path}: may not be read: {error}") from error
    except Exception as error:
        if isinstance(error, ConfigError) or not is_storage_error(error):
            raise
        raise ConfigError(f"corpus {path}: cannot be listed: {storage_words(error)}") from error


def _list_glob(fs: Any, pattern: str) -> tuple[dict[str, dict[str, Any]], Iterable[str]]:
    """Files that match, and those below folders that match."""
    root = _without_wildcards(pattern)
    depth = None if "**" in pattern else pattern[len(root) :].lstrip("/").count("/") + 1
    seen = dict(fs.find(root, maxdepth=depth, withdirs=True, detail=True))
    matches = re.compile(glob_translate(pattern)).match
    files = {name: info for name, info in seen.items() if info["type"] == "file" and matches(name)}
    for folder in [name for name, info in seen.items() if info["type"] != "file" and matches(name)]:
        files |= fs.find(folder, detail=True)
    return files, {**seen, **files}


def _is_data(relative: str) -> bool:
    hidden = any(part.startswith(("_", ".")) and "=" not in part for part in relative.split("/"))
    return not hidden and relative.endswith(SUFFIXES)


def _partition_names(relative: str) -> tuple[str, ...]:
    folders = relative.split("/")[:-1]
    return tuple(unquote(folder.split("=", 1)[0]) for folder in folders if "=" in folder)


def _version(info: dict[str, Any]) -> str:
    """Whatever the file system gives that changes when the file does."""
    for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated"):
        if info.get(key):
            return str(info[key])
    return ""


def _read_schema(path: str, file: str) -> pa.Schema:
    fs, _ = open_fs(path)
    try:
        with fs.open(file, "rb") as stream:
            return pq.read_schema(stream)
    except PermissionError as error:
        raise ConfigError(f"corpus {file}: may not be read: {error}") from error
    except Exception as error:
        if not (isinstance(error, pa.ArrowInvalid) or is_storage_error(error)):
            raise
        raise ConfigError(f"corpus {file}: is not a readable Parquet file: {error}") from error
