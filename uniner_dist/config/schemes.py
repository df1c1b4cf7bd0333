"""The URL schemes that a path may have. Pure; nothing is opened.

fsspec knows dozens of schemes, some of which fetch from any web server, read archives or another process, and chains
of them (`zip::https://…`). Paths also come from files, so only schemes of storage for corpora are accepted.
"""

from __future__ import annotations

import os
from typing import Final

#: URL schemes; several names of one kind of storage are grouped.
SCHEMES: Final = (
    ("file", "local"),
    ("s3", "s3a"),
    ("gs", "gcs"),
    ("abfs", "abfss", "az"),
    ("hdfs",),
    ("memory",),
)
#: Environment variable with further schemes, separated by commas.
MORE: Final = "UNINER_DIST_SCHEMES"


def scheme(path: str) -> str:
    """Return the scheme of a URL; `file` for a local path.

    Args:
        path: URL or local path; one that begins with `data:` has the scheme `data`.
    """
    if path.startswith("data:"):
        return "data"
    begin, sign, _ = path.partition("://")
    return begin if sign else "file"


def check_scheme(path: str) -> None:
    """Check that a path has a scheme that may be opened.

    Args:
        path: URL or local path; nothing of it is opened.

    Raises:
        ValueError: the scheme is neither in `SCHEMES` nor in the variable `UNINER_DIST_SCHEMES`, its slashes are
            missing, or it is a chain of several.
    """
    if "::" in path:
        raise ValueError("chains of file systems (::) are not taken")
    begin, sign, rest = path.partition(":")
    if sign and "://" not in path and begin in {name for group in SCHEMES for name in group}:
        slashes = ":///" if begin in ("file", "local", "memory", "hdfs") else "://"
        raise ValueError(f"is the path of a folder called '{begin}:'; write {begin}{slashes}{rest.lstrip('/')}")
    kind, known = scheme(path), [name for group in SCHEMES for name in group]
    more = [name.strip() for name in os.environ.get(MORE, "").split(",") if name.strip()]
    if kind not in known and kind not in more:
        raise ValueError(f"storage of the kind {kind[:20]!r} is not taken; known: {', '.join(known)}; more by {MORE}")


def with_first_scheme(path: str) -> str:
    """Return a URL with the first name of its kind of storage, such as `s3` for `s3a`; a local path as it is.

    Args:
        path: URL or local path; nothing of it is opened.
    """
    _, sign, rest = path.partition("://")
    return f"{_group(path)[0]}://{rest}" if sign else path


def same_kind(one: str, other: str) -> bool:
    """Return whether two paths have schemes of the same kind of storage, such as `s3` and `s3a`.

    Args:
        one: URL or local path.
        other: URL or local path.
    """
    return _group(one) == _group(other)


def _group(path: str) -> tuple[str, ...]:
    kind = scheme(path)
    return next((group for group in SCHEMES if kind in group), (kind,))
