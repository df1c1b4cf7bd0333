"""Checks the libraries that a path's scheme needs: a Python client for all stages, and Spark's connector for speed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from uniner_dist.doctor.finding import Finding, problem
from uniner_dist.runtime.engines import is_installed, missing_extra

#: Scheme → (Python package, prefix of the file name of Spark's connector).
CONNECTORS: Final = {
    "s3": ("s3fs", "hadoop-aws"),
    "s3a": ("s3fs", "hadoop-aws"),
    "gs": ("gcsfs", "gcs-connector"),
    "abfs": ("adlfs", "hadoop-azure"),
    "abfss": ("adlfs", "hadoop-azure"),
    "hdfs": ("hdfs_native", "hadoop-client"),
}


def check_connectors(paths: Iterable[str]) -> list[Finding]:
    """Check the libraries of each scheme among some paths.

    Args:
        paths: local paths or URLs.

    Returns:
        One finding for each scheme of `CONNECTORS` that occurs, in the order of the paths; none for local paths.
    """
    schemes = dict.fromkeys(path.partition("://")[0] for path in paths if "://" in path)
    return [finding for scheme in schemes if scheme in CONNECTORS for finding in _check(scheme)]


def lacks_client(path: str) -> bool:
    """Return whether a path's scheme needs a Python package that is not installed.

    `check_connectors` reports that once per scheme, so that the path itself needs no check.

    Args:
        path: local path or URL.
    """
    scheme = path.partition("://")[0] if "://" in path else ""
    return scheme in CONNECTORS and not is_installed(CONNECTORS[scheme][0])


def _check(scheme: str) -> list[Finding]:
    package, jar = CONNECTORS[scheme]
    subject = f"{scheme}://"
    if not is_installed(package):
        return [problem("Storage", subject, f"{package} is not installed", missing_extra(package) or "")]
    if _has_jar(jar):
        return [Finding("Storage", subject, f"{package}; Spark has a connector of its own")]
    return [Finding("Storage", subject, f"{package}; Spark has no {jar}, so its tasks read through {package}, slower")]


def _has_jar(prefix: str) -> bool:
    home = os.environ.get("SPARK_HOME")
    if home is None:
        import importlib.util

        spec = importlib.util.find_spec("pyspark")
        home = os.path.dirname(spec.origin) if spec and spec.origin else None
    return home is not None and any(Path(home, "jars").glob(f"{prefix}*.jar"))
