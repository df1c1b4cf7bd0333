"""Comparison of paths: whether two are the same, and whether one is inside of a folder.

For a path of this machine links are resolved first; objects have none. Before files are moved or removed, their path is
checked to be inside of the folder that it must be in. That was checked when the path was read; this is the second line
of defence.
"""

from __future__ import annotations

import contextlib
import os

from uniner_dist.config.schemes import same_kind, with_first_scheme
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import is_local, open_fs, real_path


class OutsideError(ConfigError):
    """A path leads out of the folder that it has to be in; nothing was done with it."""


def is_same_location(one: str, other: str) -> bool:
    """Return whether two paths are the same once links are resolved.

    Args:
        one: local path or URL; it need not exist. URLs are compared as they are spelled, except that `s3` and `s3a`
            are the same, and so are other names of one kind of storage (`config.schemes`).
        other: likewise.
    """
    return _resolved(one) == _resolved(other)


def lies_in(path: str, folder: str) -> bool:
    """Return whether a path, with links resolved, is a folder or lies below it.

    Where no part of the path may be a link, see `is_inside`.

    Args:
        path: local path or URL; it need not exist.
        folder: local path or URL; URLs are compared as in `is_same_location`.
    """
    return _resolved(path).startswith(_resolved(folder))


def _resolved(path: str) -> str:
    """Return an absolute path without symbolic links that ends in a slash; a path of an unknown kind stays as it is."""
    with contextlib.suppress(ConfigError):
        path = real_path(path)
    return with_first_scheme(path).rstrip("/") + "/"


def require_inside(path: str, folder: str, named_by: str) -> None:
    """Check that a path is below a folder, and not by way of a link.

    Args:
        path: path or URL to check; it need not exist.
        folder: path or URL of the folder that must contain `path`.
        named_by: the file that names the path, or what it is, for the message.

    Raises:
        OutsideError: it does not.
    """
    if not is_inside(path, folder):
        raise OutsideError(
            f"{named_by}: names {path[:300]!r}, which lies outside of {folder}; nothing was done with it"
        )


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path lies below a folder and no part between them is a link or leads upwards.

    Args:
        path: local path or URL to check; it need not exist.
        folder: local path or URL; links above it and the folder itself as a link are allowed.

    Returns:
        False also for the folder itself, and for two kinds of storage; `s3` and `s3a` are one kind.
    """
    if not same_kind(path, folder):
        return False
    (fs, inner), (_, outer) = open_fs(path), open_fs(folder)
    outer = outer.rstrip("/")
    relative = inner[len(outer) + 1 :].split("/")
    if not inner.startswith(outer + "/") or {"", ".", ".."} & set(relative):
        return False
    return not is_local(fs) or os.path.realpath(inner) == os.path.join(os.path.realpath(outer), *relative)


def require_no_link(path: str) -> None:
    """Check that a folder of ours is not a link, through which other folders would be written to.

    Args:
        path: local path or URL of the folder; it need not exist.

    Raises:
        OutsideError: it is.
    """
    if is_link(path):
        raise OutsideError(f"{path[:300]}: is a link, which none of our folders is; nothing was changed")


def is_link(path: str) -> bool:
    """Return whether a path of this machine is a symbolic link; other storage has none.

    Args:
        path: local path or URL; of a local path only the last part is examined.
    """
    fs, stripped = open_fs(path)
    return is_local(fs) and os.path.islink(stripped)
