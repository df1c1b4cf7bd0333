"""A double around the storage: it counts the changes of a command, and ends the process at one of them.

Local files: every call of Python's by which the file system is changed, and the exchange of two folders, is wrapped.
Objects: `tests.support.object_store` reports its changes here. An audit hook sees what Python does to files below a
folder, wrapped or not: a change that was not counted ends the process too. What no audit hook sees (a library in C) is
found by comparing the files before and after with the paths that were counted (`Recorder.unseen`). A file that gets its
last name before its content was handed to the disk is in `Recorder.unsynced`.

Dying just before change N + 1 leaves the same files as dying just after change N, so that points are numbered once.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uniner_dist.storage import commit

KILLED, RAISED, UNCOUNTED = 77, 78, 79
#: What to do before each change; is given its number and what it is.
AtChange = Callable[[int, str], None]

_CALLS = ("replace", "rename", "link", "symlink", "unlink", "remove", "rmdir", "mkdir", "truncate")
_EVENTS = ("os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "open")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Recorder:
    """Counts the changes below a folder.

    Args:
        place: the folder; changes elsewhere (caches, devices) do not count.
        at_change: called before each.
    """

    def __init__(self, place: Path, at_change: AtChange) -> None:
        self._place, self._at_change = f"{place}{os.sep}", at_change
        self._lock, self._inside = threading.RLock(), threading.local()
        self.count, self.paths, self.changes = 0, list[str](), list[str]()
        self.unsynced, self._written, self._synced = list[str](), set[str](), set[int]()

    def install(self) -> None:
        """Wrap everything, for the rest of this process."""
        for name in _CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        commit._exchange = self._wrapped("exchange", commit._exchange)
        real_open, real_os_open = builtins.open, os.open

        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+"):
                return real_open(file, mode, *arguments, **options)
            return self._counted("write", lambda: real_open(file, mode, *arguments, **options), (file,), {})

        def os_opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if not flags & _WRITING:
                return real_os_open(path, flags, *arguments, **options)
            done: int = self._counted("write", lambda: real_os_open(path, flags, *arguments, **options), (path,), {})
            return done

        real_fsync = os.fsync

        def fsync(fd: Any) -> None:
            real_fsync(fd)
            self._synced.add(os.stat(fd).st_ino)

        builtins.open, os.open, os.fsync = opened, os_opened, fsync
        sys.addaudithook(self._audit)

    def change(self, what: str, act: Callable[[], Any], path: str) -> Any:
        """Count a change that is made by other means than those of the operating system."""
        with self._lock:
            if getattr(self._inside, "depth", False):
                return act()
            self._at_change(self.count, f"{what} {path}")
            self.count += 1
            self.paths.append(path)
            self.changes.append(f"{what} {path}")
            self._inside.depth = True
            try:
                return act()
            finally:
                self._inside.depth = False

    def unseen(self, before: dict[str, tuple[int, ...]]) -> list[str]:
        """Files that are not as they were and that no counted change was about."""
        after = snapshot(Path(self._place))
        changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        return [path for path in changed if not any(path == one or path.startswith(f"{one}/") for one in self.paths)]

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            return self._counted(name, lambda: call(*arguments, **options), arguments, options)

        return change

    def _counted(self, what: str, act: Callable[[], Any], paths: tuple[Any, ...], options: dict[str, Any]) -> Any:
        named = [_absolute(path, options) for path in paths if isinstance(path, str | bytes | os.PathLike)]
        inside = [path for path in named if path.startswith(self._place)]
        if not inside:
            return act()
        self.paths += inside
        named_now = what in ("replace", "rename", "link") and inside[0] in self._written and os.path.isfile(inside[0])
        if named_now and os.stat(inside[0]).st_ino not in self._synced:
            self.unsynced.append(inside[-1])
        if what == "write":
            self._written.update(inside)
        return self.change(what, act, inside[-1])

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or getattr(self._inside, "depth", False):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return
        paths = [path for path in arguments if isinstance(path, str | bytes)]
        if any(os.fsdecode(path).startswith(self._place) for path in paths):
            os.write(2, f"not counted: {event} {arguments}\n".encode())
            os._exit(UNCOUNTED)


def _absolute(path: Any, options: dict[str, Any]) -> str:
    name, folder = os.fsdecode(path), options.get("dir_fd")
    if folder is None:
        return os.path.abspath(name)
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)


def snapshot(place: Path) -> dict[str, tuple[int, ...]]:
    """Every file below a folder, and what tells that it was changed."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            seen = os.stat(path)
            found[path] = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
    return found
