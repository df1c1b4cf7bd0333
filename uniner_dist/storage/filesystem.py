"""Thin verbs over fsspec: open a path of any scheme, list, read whole, and write whole and atomically.

A file either is not there or is complete: local files appear by rename or link, objects by one PUT of a whole buffer.
Nothing here writes through an open handle, because an exception inside an fsspec `with` block can publish half a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from typing import Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem


def open_fs(path: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path as that file system spells it."""
    fs, stripped = fsspec.core.url_to_fs(path)
    return fs, stripped.rstrip("/") or stripped


def is_local(fs: Any) -> bool:
    """Whether paths of this file system are paths of this machine."""
    return isinstance(fs, LocalFileSystem)


def absolute(path: str) -> str:
    """The same place, independent of the working directory: local paths become absolute, URLs stay."""
    fs, stripped = open_fs(path)
    return stripped if is_local(fs) else path.rstrip("/")


def join(base: str, *parts: str) -> str:
    """Path below `base`, for local paths and URLs alike."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    return bool(fs.exists(stripped))


def list_names(path: str) -> list[str]:
    """Names (not paths) of what stands directly in a folder, sorted; empty when the folder is not there."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        entries = fs.ls(stripped, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries)
    own = stripped.rsplit("/", 1)[-1]
    return sorted(name for name in names if name and not (name == own and len(entries) == 1 and not is_local(fs)))


def find_files(path: str, suffix: str = "") -> dict[str, dict[str, Any]]:
    """Every file below a folder, as path relative to it → fsspec's details; hidden parts (`_x`, `.x`) are left out."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    found: dict[str, dict[str, Any]] = {}
    for name, info in fs.find(stripped, detail=True).items():
        relative = name[len(stripped) :].lstrip("/")
        hidden = any(part.startswith(("_", ".")) and "=" not in part for part in relative.split("/"))
        if relative and not hidden and relative.endswith(suffix):
            found[relative] = info
    return found


def read_bytes(path: str) -> bytes:
    """The whole file."""
    fs, stripped = open_fs(path)
    return cast(bytes, fs.cat_file(stripped))


def read_json(path: str) -> Any:
    """The whole file as JSON."""
    return json.loads(read_bytes(path))


def write_bytes(path: str, data: bytes, exclusive: bool = False) -> bool:
    """Write a whole file so that it appears complete or not at all.

    Args:
        exclusive: do nothing when the file already stands there (put-if-absent).

    Returns:
        False when `exclusive` and the file was already there.
    """
    fs, stripped = open_fs(path)
    if is_local(fs):
        return _write_local(stripped, data, exclusive)
    try:
        fs.pipe_file(stripped, data, mode="create" if exclusive else "overwrite")
    except FileExistsError:
        return False
    return True


def _write_local(path: str, data: bytes, exclusive: bool) -> bool:
    """Write beside the target, flush to disk, then rename over it (or link to it, which fails if it is there)."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if exclusive:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            return True
        os.replace(temporary, path)
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def write_json(path: str, value: Any, exclusive: bool = False) -> bool:
    """Write a value as indented JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False, default=str)
    return write_bytes(path, (text + "\n").encode(), exclusive)


def remove(path: str) -> None:
    """Remove a file or a folder with all below it; nothing happens when it is not there."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    with contextlib.suppress(FileNotFoundError):
        fs.rm(stripped, recursive=True)


def copy_file(source: str, target: str) -> None:
    """Copy one file between any two paths; the target appears whole."""
    write_bytes(target, read_bytes(source))
