"""The user's cache on this machine: copies of remote models, and what was computed once about files.

Enters and leaves: paths below `UNINER_DIST_CACHE` (default `~/.cache/uniner-dist`). Nothing here is the truth about
anything: all of it may be deleted at any time, and a cache that cannot be written to costs time only.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Root of the cache."""
    return Path(os.environ.get("UNINER_DIST_CACHE", "~/.cache/uniner-dist")).expanduser()


def read_cached(path: Path) -> Mapping[str, Any]:
    """The JSON object of a cache file; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def write_cached(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a cache file as a whole; a cache that cannot be written to is passed over."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        os.replace(temporary, path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out of the block; they wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
