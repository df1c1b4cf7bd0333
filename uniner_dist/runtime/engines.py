"""Engines that may be missing: each is an optional extra, which is named in the error about a missing package."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

from uniner_dist.errors import ConfigError

#: Importable package → (what it is for, the extra that brings it).
EXTRAS: Final[Mapping[str, tuple[str, str]]] = {
    "pyspark": ("stages 1 and 3, comparisons and exports run on Spark", "spark"),
    "ray": ("stage 2 runs its replicas on Ray", "ray"),
    "vllm": ("replicas answer with vLLM", "cpu] or [gpu"),
    "s3fs": ("paths that begin with s3://", "s3"),
    "gcsfs": ("paths that begin with gs://", "gcs"),
    "adlfs": ("paths that begin with abfs://", "azure"),
    "deltalake": ("corpora that are Delta tables", "tables"),
    "pyiceberg": ("corpora that are Iceberg tables", "tables"),
    "hdfs_native": ("paths that begin with hdfs://", "hdfs"),
    "matplotlib": ("pictures of scores", "plot"),
    "spacy": ("the export format spacy", "export"),
    "datasets": ("the export format hf", "export"),
}
#: Java's lowest major version that Spark 4 runs on.
LOWEST_JAVA: Final = 17
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def is_installed(package: str) -> bool:
    """Return whether a package can be imported here; it is not imported.

    Args:
        package: name of a top-level module, such as `hdfs_native`.
    """
    return importlib.util.find_spec(package) is not None


def missing_extra(package: str) -> str | None:
    """Return a message on a package that is not installed: what it is for, and the command that installs it.

    Args:
        package: name of its top-level module; whether it is installed is not looked up.

    Returns:
        One line; None for a package that no extra brings.
    """
    if package not in EXTRAS:
        return None
    purpose, extra = EXTRAS[package]
    hint = " or ".join(f'pip install "uniner-dist[{name}]"' for name in extra.split("] or ["))
    return f"{package} is not installed, and {purpose}: {hint}"


def format_import_error(error: Exception) -> str:
    """Return the command that installs what is missing, or else the error's own words.

    Args:
        error: what an import raised, or what fsspec raised because of it.
    """
    cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
    return missing_extra(getattr(cause, "name", None) or "") or str(error)


def require(*packages: str) -> None:
    """Make sure that packages are installed before anything is started.

    Args:
        *packages: names of top-level modules.

    Raises:
        ConfigError: naming each missing one and its extra.
    """
    missing = [missing_extra(package) or package for package in packages if not is_installed(package)]
    if missing:
        raise ConfigError(missing)


def require_java() -> None:
    """Make sure that Spark finds a Java that it can run on, unless this process has a JVM already (spark-submit).

    Raises:
        ConfigError: there is none, or it is too old.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ or "SPARK_REMOTE" in os.environ:
        return
    version = java_version()
    if version is None:
        raise ConfigError(
            f"Java is not installed, and Spark needs Java {LOWEST_JAVA} or newer: install a JDK, such as Debian's "
            f"openjdk-{LOWEST_JAVA}-jre-headless, or set JAVA_HOME"
        )
    if version < LOWEST_JAVA:
        raise ConfigError(f"Java {version} is too old for Spark, which needs {LOWEST_JAVA} or newer; set JAVA_HOME")


def java_version() -> int | None:
    """Return the major version of the Java that Spark would start; None where there is none.

    `JAVA_HOME` decides, else the first `java` of the PATH; it is called with `-version`, for at most 15 seconds.
    """
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if not java or not os.access(java, os.X_OK):
        return None
    try:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _JAVA_VERSION.search(shown.stderr + shown.stdout)
    return int(found[1]) if found else None
