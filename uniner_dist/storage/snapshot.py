"""What a corpus consists of right now: its Parquet files, its schema, its partition columns, and a hash of all that.

Reads listings and one footer, never rows. The hash is part of the run id, so a changed corpus is another run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.keys import digest
from uniner_dist.storage.filesystem import open_fs


@dataclass(frozen=True)
class Snapshot:
    """A corpus as found: `files` are paths as the file system spells them, `partitions` the Hive folder columns."""

    files: tuple[str, ...]
    partitions: tuple[str, ...]
    schema: pa.Schema
    digest: str
    total_bytes: int


def take_snapshot(path: str) -> Snapshot:
    """List the corpus (file, folder, glob or Hive dataset) and read the schema of its first file.

    Raises:
        ConfigError: nothing there, nothing readable, or folders that disagree about the partition columns.
    """
    infos = _list_parquet(path)
    if not infos:
        raise ConfigError(f"corpus {path}: no Parquet files there (.parquet or .parq; hidden files are left out)")
    files = sorted(infos)
    layouts = {_partition_names(_relative(file, path)) for file in files}
    if len(layouts) > 1:
        shown = " and ".join("/".join(layout) or "no partition" for layout in sorted(layouts)[:3])
        raise ConfigError(f"corpus {path}: folders disagree about the partition columns: {shown}")
    stamps = {file: [info.get("size"), _version(info)] for file, info in infos.items()}
    return Snapshot(
        files=tuple(files),
        partitions=layouts.pop(),
        schema=_read_schema(path, files[0]),
        digest=digest(stamps),
        total_bytes=sum(int(info.get("size") or 0) for info in infos.values()),
    )


def _list_parquet(path: str) -> dict[str, dict[str, Any]]:
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        if any(sign in path for sign in "*?["):
            matched = fs.glob(stripped, detail=True)
            found = {name: info for name, info in matched.items() if info["type"] == "file"}
            for name, info in matched.items():
                if info["type"] == "directory":
                    found |= fs.find(name, detail=True)
        elif not fs.exists(stripped):
            raise ConfigError(f"corpus {path}: is not there")
        else:
            found = fs.find(stripped, detail=True)
    except PermissionError as error:
        raise ConfigError(f"corpus {path}: may not be read: {error}") from error
    except (OSError, ImportError) as error:
        raise ConfigError(f"corpus {path}: cannot be listed: {error}") from error
    base = stripped.split("*")[0].rsplit("/", 1)[0] if "*" in path else stripped
    return {name: info for name, info in found.items() if _is_data(name[len(base) :], name)}


def _is_data(relative: str, name: str) -> bool:
    hidden = any(part.startswith(("_", ".")) and "=" not in part for part in relative.split("/"))
    return not hidden and name.endswith((".parquet", ".parq", ".pq"))


def _relative(file: str, path: str) -> str:
    """What stands below the corpus's root; for a single file or a glob, Hive folders in the path itself do not count."""
    _, stripped = open_fs(path)
    base = stripped
    for sign in "*?[":
        base = base.split(sign)[0]
    if base != stripped:
        base = base.rsplit("/", 1)[0]
    return file[len(base) :].lstrip("/")


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
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"corpus {file}: is not a readable Parquet file: {error}") from error
