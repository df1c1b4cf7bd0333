"""A connector of Spark's for tables of one format, as far as an output needs it: one table's name in a catalog.

Connectors are used by their Java interfaces, since their SQL has no command that exchanges files in one commit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.runtime.compat.spark_internals import java_of
from uniner_dist.spark.catalog import quoted
from uniner_dist.storage.table_names import name_parts


class Connector(ABC):
    """Spark's connector for one format, and one table's name in its catalog.

    Args:
        spark: a session; None where none has the catalog.
        name: `table:CATALOG.SCHEMA.NAME`.
        output: whose files the table is over.

    Raises:
        ConfigError: the session has no such catalog, or has no Java process here.
    """

    def __init__(self, spark: Any, name: str, output: str) -> None:
        self.parts = name_parts(name)
        if spark is None or len(self.parts) < 3:
            raise ConfigError(f"Spark's settings do not say how to reach the catalog {catalog_of(name)!r}")
        if java_of(spark) is None:
            raise ConfigError("Spark Connect cannot commit to it; use a session of Spark's own")
        self.spark, self.output = spark, output

    def require_schema(self) -> None:
        """Make sure that there is a schema to put the table into.

        Raises:
            ConfigError: there is none.
        """
        schema = quoted(self.parts[:-1])
        try:
            self.spark.sql(f"DESCRIBE NAMESPACE {schema}").collect()
        except java_errors() as error:
            raise ConfigError(f"the catalog has no schema {schema}; make it: CREATE NAMESPACE {schema}") from error

    @abstractmethod
    def is_there(self) -> bool:
        """Whether the catalog has a table of that name, of whatever kind."""

    @abstractmethod
    def load(self) -> Any:
        """The table as it is now.

        Raises:
            ConfigError: it is not that of the output.
        """

    @abstractmethod
    def can_hold(self, column: pa.Field) -> bool:
        """Whether a table of this format can have a column of this name and type."""


def require_class(found: Any, format_name: str) -> None:
    """Make sure that a class of a connector's is there.

    Args:
        found: what Py4J has under the class's name.
        format_name: for the message.

    Raises:
        ConfigError: it is not.
    """
    if type(found).__name__ == "JavaPackage":
        raise ConfigError(f"Spark has no connector for {format_name}; add it by spark.jars or spark.jars.packages")


def require_own(whose: str | None) -> None:
    """Make sure that a table is the output's.

    Args:
        whose: what to say of another's; None for the output's own.

    Raises:
        ConfigError: it is another's.
    """
    if whose is not None:
        raise ConfigError(f"is there already, and {whose}; choose another name")


def catalog_of(name: str) -> str:
    """The catalog in a table's name."""
    return next(iter(name_parts(name)), "")


def java_errors() -> tuple[type[Exception], ...]:
    """How Java's exceptions come out of Spark: some as Spark's own, the rest as Py4J's."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (Py4JError, PySparkException)


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    java = getattr(error, "java_exception", None)
    said = str(java.toString() if java is not None else error).strip() or type(error).__name__
    return visible(said.splitlines()[0])[:300]


@contextmanager
def told_as(words: str) -> Iterator[None]:
    """Errors of Java and of Spark, and what a `Connector` has to say, as one of ours.

    Raises:
        StageError: there was one.
    """
    refusals: tuple[type[Exception], ...] = (*java_errors(), ConfigError)
    try:
        yield
    except refusals as error:
        raise StageError(f"{words}: {reason(error)}") from error
