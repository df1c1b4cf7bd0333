"""Changes of the files of a published dataset in which no reader meets a half-written file, or half a folder.

Makes changes to the partition folders of an output. Every step can be repeated after a crash at any point
(`apply_change` looks at what is there and does the rest). Callers hold the lease of the output
(`storage.layout.OutputLayout`).

On a local file system the whole new content of a folder is built outside of the output (old files that stay as hard
links) and exchanged with the old one in one system call. Where that is not possible (object stores, another device, no
`renameat2`), new files appear whole one by one and only then are old ones removed: a reader in between may see a row
twice, never a torn file and never a missing row.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Callable

from uniner_dist.errors import StageError
from uniner_dist.storage.containment import OutsideError, is_link, require_inside
from uniner_dist.storage.control_files import FolderChange
from uniner_dist.storage.filesystem import (
    copy_file,
    is_local,
    join,
    list_names,
    open_fs,
    remove,
)
from uniner_dist.storage.place_layout import OutputLayout, is_unfinished_marker
from uniner_dist.storage.stale_files import remove_stale_temporary

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: Longest wait for another process that changes the same output, in seconds.
WAIT_S = 6 * 3600.0

#: Called before every step that others can see; raises when this process may not go on.
Check = Callable[[], None]


def always() -> None:
    """Check nothing: for a caller that may always go on."""


def apply_change(output: str, change: FolderChange, work_folder: str, check: Check = always) -> None:
    """Make one change, or the rest of a change that was interrupted.

    Args:
        output: path or URL of the published dataset.
        change: files to add to one folder and to remove from it; steps that are already done are skipped.
        work_folder: a folder outside of the output, on the same device if possible, whose content may be removed.
        check: called before every step that others can see; raises when this process may not go on.

    Raises:
        OutsideError: the folder leads out of the output, or the work folder is a link.
        StageError: another process changed the same folder meanwhile.
    """
    check()
    target = join(output, change.folder) if change.folder else output
    if change.folder:
        require_inside(target, output, "a change of the output")
    if is_link(work_folder):
        raise OutsideError(f"{work_folder}: is a link; remove it, and start again")
    present = set(list_names(target))
    fs, path = open_fs(target)
    if set(change.add) <= present and present.isdisjoint(change.remove):
        if is_local(fs):
            _prune(path, open_fs(output)[1])  # who made the change may have been killed before this
        return
    if is_local(fs) and _exchange_folder(path, change, open_fs(work_folder)[1], open_fs(output)[1], check):
        return
    for name in sorted(set(change.add) - present):
        check()
        copy_file(change.add[name], join(target, name))
    for name in sorted(present.intersection(change.remove)):
        check()
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(join(path, name))
    if is_local(fs):
        _prune(path, open_fs(output)[1])


def remove_work_folders(output: str, token: int) -> None:
    """Remove leftovers of killed processes: unfinished markers, and work folders next to the output.

    Args:
        output: path or URL of the published dataset.
        token: fencing token of the lease of the output that the caller holds; a work folder of a later one stays.
    """
    if not is_local(open_fs(output)[0]):
        return  # nothing is built next to an output of an object store
    for unfinished in filter(is_unfinished_marker, list_names(output)):
        remove(join(output, unfinished))
    if not is_link(OutputLayout(output).markers):
        remove_stale_temporary(OutputLayout(output).markers)
    parent, _, name = output.rstrip("/").rpartition("/")
    begin = OutputLayout(name).work_folder("")
    for other in list_names(parent):
        made_by = other.rpartition("-")[2]
        if other.startswith(begin) and not (made_by.isdigit() and int(made_by) > token):
            remove(join(parent, other))


def _exchange_folder(path: str, change: FolderChange, work_folder: str, output: str, check: Check) -> bool:
    """Build the folder's new content next to the output and swap; False, with nothing changed, where that fails."""
    present = set(os.listdir(path)) if os.path.isdir(path) else set()
    if any(os.path.isdir(os.path.join(path, name)) for name in present):
        return False
    built = os.path.join(work_folder, "folder")
    try:
        shutil.rmtree(built, ignore_errors=True)
        os.makedirs(built)
        for name in present.difference(change.remove, change.add):
            os.link(os.path.join(path, name), os.path.join(built, name))
    except OSError:
        return False
    for name, source in change.add.items():
        _place(source, os.path.join(built, name))
    check()  # what was built may have been copied from another device, for long
    os.makedirs(path, exist_ok=True)
    if not _exchange(built, path):
        return False
    if set(os.listdir(built)) != present:  # a later holder of the output has changed it meanwhile: its change counts
        _exchange(built, path)
        raise StageError(f"{path}: was changed by another process meanwhile; nothing was changed here")
    shutil.rmtree(built, ignore_errors=True)
    _prune(path, output)
    return True


def _place(source: str, target: str) -> None:
    """Give the file another name: a second link where possible, else a copy."""
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
    """Remove folders that have become empty, up to the output; those below may be gone already."""
    while path != output and path.startswith(output) and not (os.path.isdir(path) and os.listdir(path)):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)
        path = os.path.dirname(path)
