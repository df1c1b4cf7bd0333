"""Atomic writes of local files: by rename, or by link where the file must not exist yet."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid

from uniner_dist.storage.retries import StorageError

#: Error numbers of file systems without hard links.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
#: Attempts to write a file whose temporary file or folder is removed meanwhile.
_TRIES = 5


def write_local(path: str, data: bytes, exclusive: bool) -> bool:
    """Write a temporary file next to the target, flush it, then rename it (or link it, which fails if there is one).

    An erasure removes temporary files, even those of other processes, and empty folders: then it is tried again, five
    times in all.

    Args:
        path: absolute local path of the file; folders above it are made.
        data: the whole content.
        exclusive: do nothing when the file already exists (put-if-absent).

    Returns:
        False when `exclusive` and the file was already there.

    Raises:
        StorageError: its temporary file or its folder is removed again and again.
        OSError: the file system refuses the write, as when the disk is full.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(_TemporaryGoneError):
            return _write_local_once(path, data, exclusive)
    raise StorageError(f"{path}: its temporary file or its folder is removed again and again")


class _TemporaryGoneError(Exception):
    """Another process removed the temporary file, or the folder, before the file was renamed."""


def _write_local_once(path: str, data: bytes, exclusive: bool) -> bool:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        return _give_name(temporary, path, exclusive)
    except FileNotFoundError as error:
        raise _TemporaryGoneError from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _give_name(temporary: str, path: str, exclusive: bool) -> bool:
    if not exclusive:
        os.replace(temporary, path)
        return True
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _copy_to_new(temporary, path)
    return True


def _copy_to_new(source: str, path: str) -> bool:
    """Copy where a file system has no hard links: exclusive too, but a process that dies here leaves half a file."""
    try:
        target = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with open(source, "rb") as read, os.fdopen(target, "wb") as write:
        shutil.copyfileobj(read, write)
        write.flush()
        os.fsync(write.fileno())
    return True
