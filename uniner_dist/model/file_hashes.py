"""SHA-256 of whole files, computed once: the bytes of a checkpoint are its identity, samples of them are not.

Returns hex digests of local files. A digest is kept in the user's cache under the file's device,
inode, size, mtime and ctime (nanoseconds): writing to a file changes its ctime, whatever is done to its mtime.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import remember, remembered

#: A file this young may be written to again without a change of its times (their grain is up to 2 s on some file
#: systems), so its digest is not remembered yet.
_GRAIN_NS = 2_000_000_000
_FACTS = "sha256"


def sha256_of_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return path → SHA-256 in 64 hex digits of every file.

    Those not known yet are read in parallel (hashlib works outside of the GIL).

    Args:
        paths: local files; links are followed.

    Raises:
        ConfigError: a file cannot be read, or is being written to.
    """
    wanted = list(paths)
    keys = {path: _key(path) for path in wanted}
    facts = remembered(_FACTS)
    known = {path: str(facts[keys[path]]) for path in wanted if keys[path] in facts}
    missing = [path for path in wanted if path not in known]
    if missing:
        with ThreadPoolExecutor(max_workers=min(len(missing), os.cpu_count() or 1, 16)) as pool:
            computed = dict(zip(missing, pool.map(_sha256, missing), strict=True))
        changed = [path for path in missing if _key(path) != keys[path]]
        if changed:
            raise ConfigError(f"{changed[0]}: is being written to; start again when it is complete")
        remember(_FACTS, {keys[path]: digest for path, digest in computed.items() if _is_settled(path)})
        known |= computed
    return known


def _key(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _is_settled(path: Path) -> bool:
    stat = path.stat()
    return time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _GRAIN_NS
