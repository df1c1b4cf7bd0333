"""Spark's own connector for Iceberg, as far as an output needs it: one table in a catalog, found, made and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.runtime.compat.spark_internals import java_of, java_session, java_strings
from uniner_dist.spark.catalog import quoted
from uniner_dist.spark.connector import Connector, require_class, require_own
from uniner_dist.spark.explain import java_errors, reason

#: Property of a table that names the output whose files it is over; no other table is written to.
OUTPUT = "uniner-dist.output"


class IcebergConnector(Connector):
    """Spark's connector for Iceberg, and one table's name in its catalog.

    Raises:
        ConfigError: the session has no such catalog, or it is not one of Iceberg's.
    """

    def __init__(self, spark: Any, name: str, output: str) -> None:
        super().__init__(spark, name, output)
        self.iceberg = java_of(spark).org.apache.iceberg
        loader = self.iceberg.spark.Spark3Util
        require_class(loader, "Iceberg")
        try:
            self._catalog = loader.loadIcebergCatalog(java_session(spark), self.parts[0])
        except java_errors() as error:
            raise ConfigError(f"is in no catalog of Iceberg's: {reason(error)}") from error
        self._identifier = self.iceberg.catalog.TableIdentifier.of(java_strings(spark, self.parts[1:]))

    def is_there(self) -> bool:
        """Return whether the catalog has a table of that name, of whatever format."""
        return bool(self._catalog.tableExists(self._identifier)) or bool(
            self.spark.catalog.tableExists(quoted(self.parts))
        )

    def load(self) -> Any:
        """Load the table as it is now.

        Returns:
            Iceberg's `Table`, refreshed, through Py4J.

        Raises:
            ConfigError: its property `uniner-dist.output` does not name this output.
        """
        owner = None
        if self._catalog.tableExists(self._identifier):
            table = self._catalog.loadTable(self._identifier)
            table.refresh()
            owner = table.properties().get(OUTPUT)
        other = "not made by this program" if owner is None else "the table of another output"
        require_own(None if owner == self.output else other)
        return table

    def create(self, partition_by: Sequence[str], columns: pa.Schema) -> None:
        """Make the table, which has no files yet.

        Args:
            partition_by: folder columns of the output, in order, by whose values the table is partitioned.
            columns: columns of the table, in Arrow's types, those of folders among them.
        """
        schema = self._schema(columns)
        spec = self.iceberg.PartitionSpec.builderFor(schema)
        for column in partition_by:
            spec.identity(column)
        self._catalog.createTable(self._identifier, schema, spec.build(), {OUTPUT: self.output, "format-version": "2"})

    def can_hold(self, column: pa.Field) -> bool:
        """Return whether a column's type is one of Iceberg's.

        Args:
            column: a column of the output, in Arrow's types.
        """
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
