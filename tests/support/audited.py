"""Which files this process touches, by an audit hook of Python; it cannot be taken away, and is off by default."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Audit events that change something → positions of a path and of the folder's descriptor that it is relative to.
_CHANGING: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "shutil.rmtree": ((0, 1),),
    "shutil.move": ((0, None), (1, None)),
    "shutil.copyfile": ((1, None),),
}
_LOOKING: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.listdir": ((0, None),),
    "os.scandir": ((0, None),),
    "shutil.copyfile": ((0, None),),
}


@dataclass
class Touched:
    """Paths, with links resolved, that were read and that were changed."""

    read: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take up one event."""
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
            self._add(self.changed if writes else self.read, path)
        for events, found in ((_CHANGING, self.changed), (_LOOKING, self.read)):
            for place, folder in events.get(event, ()):
                self._add(found, arguments[place], -1 if folder is None else arguments[folder])

    @staticmethod
    def _add(found: set[str], path: Any, folder: int | None = -1) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            base = "" if folder in (-1, None) else os.readlink(f"/proc/self/fd/{folder}")
            found.add(os.path.realpath(os.path.join(base, os.fsdecode(path))))


_listening: list[Touched] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and (event == "open" or event in _CHANGING or event in _LOOKING):
        _listening[-1].note(event, arguments)


sys.addaudithook(_hook)


@contextmanager
def audited() -> Iterator[Touched]:
    """What is touched in the block, by all threads of the process."""
    touched = Touched()
    _listening.append(touched)
    try:
        yield touched
    finally:
        _listening.remove(touched)


def content(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: files with their bytes, links with their targets."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
    return found
