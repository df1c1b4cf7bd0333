"""Paths as Spark spells them. Pure except for asking fsspec what kind of path it is."""

from __future__ import annotations

import re

from uniner_dist.storage.filesystem import is_local, open_fs


def spark_path(path: str) -> str:
    """Return a literal path as Spark's readers take it.

    A local path becomes a `file:` URL, as a cluster's default may be HDFS. Spark expands wildcards in whatever it
    reads, so those of the path itself are escaped.

    Args:
        path: path or URL, in which `*`, `?`, `[]` and `{}` are ordinary characters.
    """
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}\[\]*?])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def spark_glob(path: str) -> str:
    """Return a path with wildcards as Spark's readers take it, else like `spark_path`.

    Args:
        path: path or URL, in which `*`, `?` and `[…]` are wildcards, but braces and backslashes are not.
    """
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def write_path(path: str) -> str:
    """Return a path as Spark takes it where nothing in it is a wildcard: to write to, or as `basePath`.

    Args:
        path: path or URL of a folder; a local one becomes a `file:` URL.
    """
    fs, stripped = open_fs(path)
    return _as_url(stripped) if is_local(fs) else path


def _as_url(path: str) -> str:
    return "file://" + path
