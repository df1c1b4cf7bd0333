"""Paths as Spark spells them. Pure except for asking fsspec what kind of path it is."""

from __future__ import annotations

import re

from uniner_dist.storage.filesystem import is_local, open_fs


def spark_path(path: str) -> str:
    """A literal path as Spark wants it: local paths as `file:` URLs (a cluster's default may be HDFS), `s3://` as is.

    Spark expands wildcards in whatever it reads, so those of the path itself are escaped.
    """
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}\[\]*?])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def spark_glob(path: str) -> str:
    """Like `spark_path` for a path whose `*`, `?` and `[…]` are meant as wildcards."""
    fs, stripped = open_fs(path)
    escaped = re.sub(r"([\\{}])", r"\\\1", stripped if is_local(fs) else path)
    return _as_url(escaped) if is_local(fs) else escaped


def write_path(path: str) -> str:
    """A path to write to or to count partition folders from (`basePath`): nothing in it is a wildcard to Spark."""
    fs, stripped = open_fs(path)
    return _as_url(stripped) if is_local(fs) else path


def _as_url(path: str) -> str:
    return "file://" + path
