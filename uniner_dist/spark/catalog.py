"""Locations of tables that Spark's own catalogs name (Hive, Glue, Unity, REST, Hadoop).

A location is the folder of a Delta table, the current metadata file of an Iceberg table, or the folder of a Parquet
table. From there on the corpus is read as if that path had been given, at its pinned version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import ConfigError
from uniner_dist.runtime.compat.spark_internals import context_of_this_process
from uniner_dist.runtime.engines import is_installed
from uniner_dist.spark.explain import java_errors, reason
from uniner_dist.storage.listing import list_corpus, shown
from uniner_dist.storage.table_names import is_table_name, name_parts, without_java_scheme

#: The catalog of every Spark session.
_OWN = "spark_catalog"
_CONF = "spark.sql.catalog."
#: Properties of a table that hides rows or columns which a reader of its files would see.
_HIDING = ("# Row Filter", "# Column Masks")
#: Property of a table that is partitioned.
_PARTITIONED = "# Partition Information"


class _Settings:
    """The settings that `spark_session` takes."""

    def __init__(self, spark: SparkConfig) -> None:
        self.spark = spark


def table_location(path: str, settings: SparkConfig | None = None) -> str:
    """Return the location of a table that is named in one of Spark's catalogs.

    Args:
        path: a corpus as the user gives it; only a table name of three or more parts (`table:CATALOG.SCHEMA.NAME`) is
            looked up.
        settings: master and properties of the session that is started where none is running; None means the defaults.

    Returns:
        Path or URL of a Delta or Parquet table's folder, or of an Iceberg table's current metadata file; `path` itself
        where it is no such name, or where Spark is not installed or has no such catalog.

    Raises:
        ConfigError: the catalog has no such table, or the table cannot be read by its files: it is a view, hides rows
            or columns, has another format, or its Parquet folders are not the partitions that the catalog knows.
    """
    if not is_table_name(path) or not is_installed("pyspark"):
        return path
    parts = name_parts(path)
    if len(parts) < 3:
        return path
    with session_with(parts[0], settings or SparkConfig()) as spark:
        return path if spark is None else _place(spark, path, quoted(parts))


@contextmanager
def session_with(catalog: str, settings: SparkConfig) -> Iterator[Any]:
    """Yield a Spark session that has a catalog.

    The running session is used. Where there is none, one is started only for `spark_catalog` or if the settings or
    `spark-defaults.conf` name the catalog; it is stopped after the block.

    Args:
        catalog: first part of a table's name, such as `spark_catalog`.
        settings: master and properties of a session that is started here.

    Yields:
        The session; None where there is none to ask, or where it does not have the catalog.
    """
    if not _may_have(catalog, settings):
        yield None
        return
    from uniner_dist.spark.session import spark_session

    with spark_session(_Settings(settings), quick=True) as spark:
        yield spark if catalog == _OWN or spark.conf.get(_CONF + catalog, None) is not None else None


def quoted(parts: Sequence[str]) -> str:
    """Return a table's name as Spark's SQL spells it: each part in backquotes, joined by dots.

    Args:
        parts: catalog, schemas and table in this order, not quoted; a schema's name is quoted alike.
    """
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def _may_have(catalog: str, settings: SparkConfig) -> bool:
    """Whether to ask a session: one is running, or Spark's own catalog is meant, or settings of a new one name it."""
    running = context_of_this_process() is not None or "PYSPARK_GATEWAY_PORT" in os.environ
    if running or catalog == _OWN or _CONF + catalog in settings.conf:
        return True
    folders = [os.environ.get("SPARK_CONF_DIR"), os.path.join(os.environ.get("SPARK_HOME", ""), "conf")]
    files = [Path(folder, "spark-defaults.conf") for folder in folders if folder]
    named = re.compile(rf"^\s*{re.escape(_CONF + catalog)}[\s=:]", re.M)
    return any(file.is_file() and named.search(file.read_text(errors="replace")) for file in files)


def _place(spark: Any, path: str, name: str) -> str:
    said = _described(spark, path, name)
    hidden = next((part for part in _HIDING if part in said), None)
    if hidden is not None:
        raise ConfigError(f"corpus {path}: has a {hidden[2:].lower()}, which readers of its files would pass by")
    if said.get("Type", "").upper() == "VIEW":
        raise ConfigError(f"corpus {path}: is a view; give the table that it is of, or write its rows to one")
    provider, location = said.get("Provider", "").lower(), without_java_scheme(said.get("Location", ""))
    if provider == "iceberg":
        entries = _asked(spark, path, f"SELECT file FROM {name}.metadata_log_entries")
        newest = str(entries[-1]["file"])  # they are in order, whatever their writers' clocks
        return without_java_scheme(newest)
    if provider == "delta" and location:
        return location
    if provider == "parquet" or (provider == "hive" and "parquet" in said.get("InputFormat", "").lower()):
        # Where the catalog does not keep the partitions, Spark reads the folders, too.
        if _PARTITIONED in said and said.get("Partition Provider") == "Catalog":
            _require_all_partitions(spark, path, name, location)
        return location
    raise ConfigError(
        f"corpus {path}: is a table of {provider or 'an unknown format'}, which is not read here; Delta, Iceberg and "
        "Parquet are"
    )


def _asked(spark: Any, path: str, command: str) -> list[Any]:
    """Rows of a command of Spark's SQL about the table of a corpus."""
    try:
        return list(spark.sql(command).collect())
    except java_errors() as error:
        raise ConfigError(f"corpus {path}: Spark's catalog cannot describe it: {reason(error)}") from error


def _described(spark: Any, path: str, name: str) -> dict[str, str]:
    """The catalog's description of a table, without its columns."""
    _asked(spark, path, f"REFRESH TABLE {name}")  # a session caches tables for a while
    rows = [tuple(row)[:2] for row in _asked(spark, path, f"DESCRIBE TABLE EXTENDED {name}")]
    begin = next((i for i, (key, _) in enumerate(rows) if str(key).startswith("# Detailed Table")), 0)
    parts = {key: "" for key, _ in rows[:begin] if str(key).startswith("#")}
    return parts | {str(key): str(value or "") for key, value in rows[begin:]}


def _require_all_partitions(spark: Any, path: str, name: str, location: str) -> None:
    """Make sure that the folders of a Parquet table are exactly the partitions that its catalog knows."""
    known = {str(row[0]) for row in _asked(spark, path, f"SHOW PARTITIONS {name}")}
    listing = list_corpus(location)
    found = {file.rpartition("/")[0].lstrip("/") for file in listing.relative}
    if known != found:
        different = sorted(known ^ found)
        raise ConfigError(
            f"corpus {path}: the catalog's partitions are not the folders of {location} ({shown(different)}); repair "
            "the table (MSCK REPAIR TABLE), or give a folder as the corpus"
        )
