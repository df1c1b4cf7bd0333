"""Spark's own connector for Iceberg, as far as an output needs it: one table in a catalog, found, made and loaded.

It is used by its Java interface, since its SQL has no command that exchanges files in one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.runtime.compat.spark_internals import java_of, java_session, java_strings
from uniner_dist.spark.catalog import quoted
from uniner_dist.storage.table_names import name_parts

#: Property of a table that names the output whose files it is over; no other table is written to.
OUTPUT = "uniner-dist.output"


class Connector:
    """Spark's connector for Iceberg, and one table's name in its catalog.

    Raises:
        ConfigError: the session has no such catalog, or it is not one of Iceberg's.
    """

    def __init__(self, spark: Any, name: str) -> None:
        self.parts = name_parts(name)
        if spark is None or len(self.parts) < 3:
            raise ConfigError(f"Spark's settings do not say how to reach the catalog {catalog_of(name)!r}")
        if java_of(spark) is None:
            raise ConfigError("Spark Connect cannot commit to it; use a session of Spark's own")
        self.spark = spark
        self.iceberg = java_of(spark).org.apache.iceberg
        loader = self.iceberg.spark.Spark3Util
        if type(loader).__name__ == "JavaPackage":
            raise ConfigError("Spark has no connector for Iceberg; add it by spark.jars or spark.jars.packages")
        try:
            self._catalog = loader.loadIcebergCatalog(java_session(spark), self.parts[0])
        except java_errors() as error:
            raise ConfigError(f"is in no catalog of Iceberg's: {reason(error)}") from error
        self._identifier = self.iceberg.catalog.TableIdentifier.of(java_strings(spark, self.parts[1:]))

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

    def is_there(self) -> bool:
        """Whether the catalog has a table of that name, of whatever kind."""
        return bool(self._catalog.tableExists(self._identifier)) or bool(
            self.spark.catalog.tableExists(quoted(self.parts))
        )

    def load(self, output: str) -> Any:
        """The table as it is now.

        Raises:
            ConfigError: it is not that of this output.
        """
        owner = None
        if self._catalog.tableExists(self._identifier):
            table = self._catalog.loadTable(self._identifier)
            table.refresh()
            owner = table.properties().get(OUTPUT)
        if owner != output:
            whose = "not made by this program" if owner is None else "the table of another output"
            raise ConfigError(f"is there already, and {whose}; choose another name")
        return table

    def create(self, output: str, partition_by: Sequence[str], columns: pa.Schema) -> None:
        """Make the table, which has no files yet."""
        schema = self._schema(columns)
        spec = self.iceberg.PartitionSpec.builderFor(schema)
        for column in partition_by:
            spec.identity(column)
        self._catalog.createTable(self._identifier, schema, spec.build(), {OUTPUT: output, "format-version": "2"})

    def can_hold(self, column: pa.Field) -> bool:
        """Whether a column's type is one of Iceberg's."""
        refusals: tuple[type[Exception], ...] = (*java_errors(), TypeError, ValueError)
        try:
            self._schema(pa.schema([column]))
        except refusals:
            return False
        return True

    def _schema(self, columns: pa.Schema) -> Any:
        from uniner_dist.spark.types import spark_schema

        java = java_session(self.spark).parseDataType(spark_schema(columns).json())
        return self.iceberg.spark.SparkSchemaUtil.convert(java)


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
