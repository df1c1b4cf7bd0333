"""What a corpus consists of right now: its Parquet files, its schema, its partition columns, and a hash of all that.

Reads listings and one footer, never rows. The hash is part of the run id, so a changed corpus is another run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import is_storage_error, open_fs, storage_words

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
    infos = {name: info for name, info in _list(path).items() if _is_data(name[len(base) :])}
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
    globbed = next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))
    parts = parts[:globbed]
    while len(parts) > 1 and "=" in parts[-1]:
        parts.pop()
    return "/".join(parts)


def is_glob(path: str) -> bool:
    """Whether the path holds a wildcard."""
    return any(sign in path for sign in "*?[")


def _list(path: str) -> dict[str, dict[str, Any]]:
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        if is_glob(path):
            found: dict[str, dict[str, Any]] = {}
            for name, info in fs.glob(stripped, detail=True).items():
                found |= {name: info} if info["type"] == "file" else fs.find(name, detail=True)
            return found
        if not fs.exists(stripped):
            raise ConfigError(f"corpus {path}: is not there")
        return dict(fs.find(stripped, detail=True))
    except PermissionError as error:
        raise ConfigError(f"corpus {path}: may not be read: {error}") from error
    except Exception as error:
        if isinstance(error, ConfigError) or not is_storage_error(error):
            raise
        raise ConfigError(f"corpus {path}: cannot be listed: {storage_words(error)}") from error


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
