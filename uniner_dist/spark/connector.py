"""A connector of Spark's for tables of one format, as far as an output needs it: one table's name in a catalog.

Connectors are used by their Java interfaces, since their SQL has no command that exchanges files in one commit.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from uniner_dist.errors import ConfigError, StageError
from uniner_dist.runtime.compat.spark_internals import java_of
from uniner_dist.spark.catalog import quoted
from uniner_dist.spark.explain import java_errors, reason
from uniner_dist.storage.table_names import name_parts

#: What Spark says of a schema that is not there: its error class, or the exception of a catalog.
_NO_SCHEMA = re.compile(r"SCHEMA_NOT_FOUND|NoSuchNamespaceException|NoSuchDatabaseException")


class Connector(ABC):
    """Spark's connector for one format, and one table's name in its catalog.

    Args:
        spark: a classic session, not one of Spark Connect; None where no session has the catalog.
        name: `table:CATALOG.SCHEMA.NAME`.
        output: path or URL of the output whose files the table lists.

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
        """Make sure that the schema that the table belongs to exists.

        Raises:
            ConfigError: it does not.
            Exception: the catalog cannot be asked; see `java_errors`.
        """
        schema = quoted(self.parts[:-1])
        try:
            self.spark.sql(f"DESCRIBE NAMESPACE {schema}").collect()
        except java_errors() as error:
            if not _NO_SCHEMA.search(str(error)):
                raise
            raise ConfigError(f"the catalog has no schema {schema}; make it: CREATE NAMESPACE {schema}") from error

    @abstractmethod
    def is_there(self) -> bool:
        """Return whether the catalog has a table of that name, of whatever format."""

    @abstractmethod
    def load(self) -> Any:
        """Load the table as it is now.

        Returns:
            The connector's own Java object, through Py4J.

        Raises:
            ConfigError: it is not the table of this output.
        """

    @abstractmethod
    def can_hold(self, column: pa.Field) -> bool:
        """Return whether a table of this format can have a column of this name and type.

        Args:
            column: a column of the output, in Arrow's types.
        """


def require_class(found: Any, format_name: str) -> None:
    """Make sure that a class of a connector is on Java's class path.

    Args:
        found: what Py4J resolves the class's name to: a `JavaPackage` where there is no such class.
        format_name: `Delta` or `Iceberg`, for the message.

    Raises:
        ConfigError: there is no such class.
    """
    if type(found).__name__ == "JavaPackage":
        raise ConfigError(f"Spark has no connector for {format_name}; add it by spark.jars or spark.jars.packages")


def require_own(whose: str | None) -> None:
    """Make sure that a table that exists is the output's own.

    Args:
        whose: what the table is instead, for the message, such as "the table of another output"; None for the output's
            own.

    Raises:
        ConfigError: it is another's.
    """
    if whose is not None:
        raise ConfigError(f"is there already, and {whose}; choose another name")


def catalog_of(name: str) -> str:
    """Return the catalog in a table's name, without backquotes; empty where the name has no parts.

    Args:
        name: `table:CATALOG.SCHEMA.NAME`.
    """
    return next(iter(name_parts(name)), "")


@contextmanager
def told_as(words: str) -> Iterator[None]:
    """Convert errors of Java and Spark, and the ConfigError of a `Connector`, to one of this package.

    Args:
        words: what failed, for whom, without the cause; the message begins with it.

    Yields:
        Nothing; errors of the block are converted.

    Raises:
        StageError: the block raised one of these errors, which is its cause.
    """
    refusals: tuple[type[Exception], ...] = (*java_errors(), ConfigError)
    try:
        yield
    except refusals as error:
        raise StageError(f"{words}: {reason(error)}") from error
