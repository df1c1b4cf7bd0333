"""The user's cache on this machine: copies of remote models, and what was computed once about files.

All paths are below `UNINER_DIST_CACHE` (default `~/.cache/uniner-dist`). Nothing here is the truth about anything: all
of it may be deleted at any time, and a cache that cannot be written to costs time only; but no engine loads a remote
model without its copy.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

#: Facts beyond this many are forgotten, oldest first.
_MOST = 4096


def cache_folder() -> Path:
    """Return the root of the cache, which need not exist: `UNINER_DIST_CACHE`, or `~/.cache/uniner-dist`."""
    return Path(os.environ.get("UNINER_DIST_CACHE", "~/.cache/uniner-dist")).expanduser()


def read_cached(path: Path) -> Mapping[str, object]:
    """Return the JSON object of a cache file; empty where there is none that can be read.

    Args:
        path: a file that `write_cached` has written, maybe.
    """
    with suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def write_cached(path: Path, value: Mapping[str, object]) -> None:
    """Replace a cache file as a whole; a cache that cannot be written to is passed over.

    Args:
        path: the file, mostly below `cache_folder()`; its folder is made.
        value: what `read_cached` is to return: a JSON object.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(value, stream)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def remember(name: str, facts: Mapping[str, object]) -> None:
    """Add to the small facts of one kind, which `remembered` gives; other processes may do so at the same time.

    Beyond 4,096 facts of a kind the oldest are forgotten.

    Args:
        name: kind of the facts; they are kept in `<name>.json` in the cache.
        facts: key → what was found out, a JSON value. A known key gets the new value; no facts write nothing.
    """
    if not facts:
        return
    with suppress(OSError), locked(cache_folder() / f"{name}.lock"):
        merged = {**remembered(name), **facts}
        write_cached(_facts(name), dict(list(merged.items())[-_MOST:]))


def remembered(name: str) -> Mapping[str, object]:
    """Return all facts of one kind: key → what was found out once.

    Args:
        name: kind of the facts, as `remember` was given it.
    """
    return read_cached(_facts(name))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out of the block; they wait.

    Args:
        path: lock file, which is made and stays; local, as the lock is one of `flock`.

    Yields:
        None, once this process holds the lock.

    Raises:
        OSError: the lock file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _facts(name: str) -> Path:
    return cache_folder() / f"{name}.json"
