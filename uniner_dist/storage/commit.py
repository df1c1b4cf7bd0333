"""Changing the files of a published dataset so that a reader never meets a half-written file, nor half a folder.

Enters: an output folder and the changes to make to its partition folders. Leaves: the changed output. Every step can be
repeated after a crash at any point (`apply` looks at what stands there and does the rest).

On a local file system the whole new content of a folder is built outside of the output (old files that stay as hard
links) and exchanged with the old one in one system call. Where that is not possible (object stores, another device, no
`renameat2`), new files appear whole one by one and only then are old ones removed: a reader in between may see a row
twice, never a torn file and never a missing row.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from uniner_dist.errors import StageError
from uniner_dist.storage.filesystem import copy_file, is_local, join, list_names, open_fs

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: Longest wait for another process that publishes to the same output, in seconds.
_LOCK_S = 600.0


@dataclass(frozen=True)
class FolderChange:
    """What becomes of one folder of the output.

    Attributes:
        folder: relative to the output, "" for the output itself.
        add: name of a file to appear → path of the whole file to take it from.
        remove: names of files to go.
    """

    folder: str
    add: Mapping[str, str]
    remove: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {"folder": self.folder, "add": dict(self.add), "remove": list(self.remove)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FolderChange:
        """From the journal."""
        return cls(value["folder"], value["add"], value["remove"])


@contextmanager
def lock_output(output: str) -> Iterator[None]:
    """Let one process of this machine change the output at a time; leaves no file behind.

    The lock is on the folder that holds the output. Object stores have none: there, do not publish two runs to one
    output at the same time.

    Raises:
        StageError: another process kept the lock for `_LOCK_S`, and perhaps stands still.
    """
    fs, path = open_fs(output)
    if not is_local(fs):
        yield
        return
    os.makedirs(path, exist_ok=True)
    handle = os.open(os.path.dirname(path) or "/", os.O_RDONLY)
    try:
        _lock(handle, output)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, output: str) -> None:
    """Wait for the lock in small steps, so that a request to stop comes through."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StageError(
                    f"output {output}: another process has been publishing there for {_LOCK_S:g} s; "
                    "see whether it is stuck, then start the same command again"
                ) from None
            time.sleep(0.1)


def apply(output: str, change: FolderChange, workplace: str) -> None:
    """Make one change, or what is left of it.

    Args:
        workplace: a folder outside of the output, on the same device if possible, that may be emptied.
    """
    target = join(output, change.folder) if change.folder else output
    present = set(list_names(target))
    if set(change.add) <= present and present.isdisjoint(change.remove):
        return
    fs, path = open_fs(target)
    if is_local(fs) and _exchange_folder(path, change, open_fs(workplace)[1], open_fs(output)[1]):
        return
    for name in sorted(set(change.add) - present):
        copy_file(change.add[name], join(target, name))
    for name in sorted(present.intersection(change.remove)):
        fs.rm_file(join(path, name))
    if is_local(fs):
        _prune(path, open_fs(output)[1])


def _exchange_folder(path: str, change: FolderChange, workplace: str, output: str) -> bool:
    """Build the folder's new content beside the output and swap; False, with nothing changed, where it cannot be."""
    present = set(os.listdir(path)) if os.path.isdir(path) else set()
    if any(os.path.isdir(os.path.join(path, name)) for name in present):
        return False
    built = os.path.join(workplace, "folder")
    try:
        shutil.rmtree(built, ignore_errors=True)
        os.makedirs(built)
        for name in present.difference(change.remove, change.add):
            os.link(os.path.join(path, name), os.path.join(built, name))
    except OSError:
        return False
    for name, source in change.add.items():
        _place(source, os.path.join(built, name))
    if not os.path.isdir(path):
        os.makedirs(path)
    if not _exchange(built, path):
        return False
    shutil.rmtree(built, ignore_errors=True)
    _prune(path, output)
    return True


def _place(source: str, target: str) -> None:
    """The file under another name: a second link where possible, else a copy."""
    fs, path = open_fs(source)
    if is_local(fs):
        try:
            os.link(path, target)
            return
        except OSError:
            pass  # another device, or no links here: copy
    copy_file(source, target)


def _exchange(one: str, other: str) -> bool:
    """Swap two folders atomically (Linux, `renameat2`); False where kernel or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
        return False
    raise OSError(problem, os.strerror(problem), other)


def _prune(path: str, output: str) -> None:
    """Remove folders that have become empty, up to the output."""
    while path != output and path.startswith(output) and os.path.isdir(path) and not os.listdir(path):
        os.rmdir(path)
        path = os.path.dirname(path)
