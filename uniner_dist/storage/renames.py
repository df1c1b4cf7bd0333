"""Whole files on file systems without a PUT of a whole object (HDFS): written under another name, then renamed.

There fsspec itself writes through an open handle, so that half a file can be seen, and checks whether a file exists
before it writes it, which does not keep two processes apart.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from fsspec.spec import AbstractFileSystem

from uniner_dist.storage.retries import StorageError, format_storage_error, is_storage_error, with_retries


def writes_in_place(fs: Any) -> bool:
    """Return whether a file system has no way of writing a file but fsspec's generic one.

    Args:
        fs: fsspec file system.
    """
    # Asynchronous clients, those of the object stores, get this method when they are made.
    return not fs.async_impl and getattr(type(fs), "pipe_file", None) is AbstractFileSystem.pipe_file


def replace_by_rename(path: str, fs: Any, stripped: str, data: bytes) -> None:
    """Write a file so that it appears or is replaced in one step.

    The file system's `mv` must take `overwrite`, as that of HDFS does.

    Args:
        path: path or URL of the file, for messages.
        fs: fsspec file system of the file.
        stripped: the path as the file system spells it.
        data: the whole content.

    Raises:
        FileNotFoundError: somebody removed what was being written.
        StorageError: it could not be written.
    """
    temporary = _temporary(stripped)
    with_retries(path, lambda: fs.pipe_file(temporary, data))
    try:
        with_retries(path, lambda: fs.mv(temporary, stripped, overwrite=True))
    except FileNotFoundError:
        # A rename whose answer was lost is tried again and no longer finds what it has moved.
        if with_retries(path, lambda: fs.cat_file(stripped)) != data:
            raise


def create_by_rename(path: str, fs: Any, stripped: str, data: bytes) -> None:
    """Write a file that does not exist yet, so that it appears in one step.

    Whether a rename onto a name that exists fails is what `storage.probe` finds out before anybody relies on it.

    Args:
        path: path or URL of the file, for messages.
        fs: fsspec file system of the file.
        stripped: the path as the file system spells it.
        data: the whole content.

    Raises:
        FileExistsError: it is there.
        StorageError: it could not be written.
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
