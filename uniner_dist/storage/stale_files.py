"""Removal of temporary files that killed processes have left half written.

Local files are written under a temporary name and renamed. Objects of a store appear whole, but Spark's own connectors
write some that are not committed yet.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from uniner_dist.storage.filesystem import is_local, open_fs
from uniner_dist.storage.retries import with_retries


def remove_stale_temporary(path: str, older_than_s: float = 0.0) -> None:
    """Remove files that killed processes left half written below a folder, Spark's too.

    Args:
        path: path or URL of the folder.
        older_than_s: younger files may belong to a running process, which then writes them once more; local files only.
    """
    fs, stripped = open_fs(path)
    if not is_local(fs):
        _remove_uncommitted(path, fs, stripped)
        return
    for folder, _, names in os.walk(stripped):
        for name in names:
            if _is_temporary(f"{folder[len(stripped) :]}/{name}"):
                file = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - os.path.getmtime(file) >= older_than_s:
                        os.unlink(file)


def _is_temporary(relative: str) -> bool:
    *folders, name = relative.split("/")
    return (name.startswith(".") and name.endswith(".tmp")) or "_temporary" in folders


def _remove_uncommitted(path: str, fs: Any, stripped: str) -> None:
    """Remove objects that Spark's own connectors have written and not committed."""
    fs.invalidate_cache()
    try:
        found = with_retries(path, lambda: fs.find(stripped))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in found:
        if _is_temporary(str(name)[len(stripped) :]):
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(name)
