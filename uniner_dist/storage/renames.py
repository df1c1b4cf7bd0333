"""Whole files on file systems without a PUT of a whole object (HDFS): written under another name, then renamed.

fsspec's own way there is to write through an open handle, where half a file can be seen, and to look whether a file is
there before it is written, which keeps no two processes apart.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from fsspec.spec import AbstractFileSystem

from uniner_dist.storage.retries import StorageError, format_storage_error, is_storage_error, with_retries


def writes_in_place(fs: Any) -> bool:
    """Whether a file system has nothing but fsspec's own way of writing a file."""
    # Asynchronous clients, those of the object stores, get this method when they are made.
    return not fs.async_impl and getattr(type(fs), "pipe_file", None) is AbstractFileSystem.pipe_file


def replace_by_rename(path: str, fs: Any, stripped: str, data: bytes) -> None:
    """Let a file appear or be replaced in one step; the file system's `mv` must take `overwrite`, as that of HDFS."""
    temporary = _temporary(stripped)
    with_retries(path, lambda: fs.pipe_file(temporary, data))
    with_retries(path, lambda: fs.mv(temporary, stripped, overwrite=True))


def create_by_rename(path: str, fs: Any, stripped: str, data: bytes) -> None:
    """Let a file appear in one step that is not there yet.

    Whether a rename onto a name that exists fails is what `storage.probe` finds out before anybody relies on it.

    Raises:
        FileExistsError: it is there.
    """
    temporary = _temporary(stripped)
    with_retries(path, lambda: fs.pipe_file(temporary, data))
    try:
        fs.mv(temporary, stripped)
    except Exception as error:
        if not is_storage_error(error):
            raise
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(temporary)
        if not with_retries(path, lambda: fs.exists(stripped)):
            raise StorageError(f"{path}: {format_storage_error(error)}") from error
        raise FileExistsError(path) from error


def _temporary(stripped: str) -> str:
    folder, _, name = stripped.rpartition("/")
    return f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
