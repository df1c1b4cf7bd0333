"""Spark's own connector for Delta, as far as an output needs it: one table in a catalog, found, made and loaded.

The table is external, over the output's folder, which also holds its log: the catalog keeps its name and location.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.runtime.compat.spark_internals import (
    is_java,
    java_array,
    java_of,
    java_session,
    java_strings,
    scala_sequence,
)
from uniner_dist.spark.connector import Connector, require_class, require_own
from uniner_dist.spark.explain import java_errors
from uniner_dist.spark.paths import write_path
from uniner_dist.storage.filesystem import join

_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
#: Catalogs whose Delta tables are Delta's own: Unity's delegates to it.
_CATALOGS = (_CATALOG, "io.unitycatalog.spark.UCSingleCatalog")
_TABLE = "org.apache.spark.sql.delta.catalog.DeltaTableV2"


class DeltaConnector(Connector):
    """Spark's connector for Delta, and one table's name in its catalog.

    Raises:
        ConfigError: the session has no such catalog, or it is not one of Delta's.
    """

    def __init__(self, spark: Any, name: str, output: str) -> None:
        super().__init__(spark, name, output)
        self._delta = java_of(spark).org.apache.spark.sql.delta
        require_class(self._delta.DeltaLog, "Delta")
        self._catalog = java_session(spark).sessionState().catalogManager().catalog(self.parts[0])
        if not any(is_java(spark, self._catalog, kind) for kind in _CATALOGS):
            raise ConfigError(f"is in no catalog of Delta's; set spark.sql.catalog.{self.parts[0]}={_CATALOG}")
        identifier = java_of(spark).org.apache.spark.sql.connector.catalog.Identifier
        self._identifier = identifier.of(java_strings(spark, self.parts[1:-1]), self.parts[-1])

    def is_there(self) -> bool:
        """Return whether the catalog has a table of that name, of whatever format."""
        return bool(self._catalog.tableExists(self._identifier))

    def load(self) -> Any:
        """Load the table as it is now.

        Returns:
            Delta's `DeltaTableV2`, through Py4J.

        Raises:
            ConfigError: it is not a Delta table, or is over another folder than the output's.
        """
        table = self._catalog.loadTable(self._identifier)
        is_delta = is_java(self.spark, table, _TABLE)
        require_own(None if is_delta else "not a Delta table")
        place, folder = str(table.path().toString()), self._path(write_path(self.output))
        files = folder.getFileSystem(self._log(folder).newDeltaHadoopConf())
        own = place == files.makeQualified(folder).toString()
        require_own(None if own else f"over another folder ({visible(place)[:300]})")
        return table

    def create(self, partition_by: Sequence[str], columns: pa.Schema) -> None:
        """Write the first version of the table's log, without files.

        Args:
            partition_by: folder columns of the output, in order, by which the table is partitioned.
            columns: columns of the table, in Arrow's types, those of folders among them.
        """
        self.commit(self._new_table(self._path(write_path(self.output)), partition_by, columns), [])

    def register(self) -> None:
        """Put the table, whose log exists, into the catalog."""
        kind = java_of(self.spark).org.apache.spark.sql.connector.expressions.Transform
        properties = {"provider": "delta", "location": write_path(self.output)}
        columns = self._java(pa.schema([]))  # those of the log
        self._catalog.createTable(self._identifier, columns, java_array(self.spark, kind, []), properties)

    def begin(self, table: Any) -> Any:
        """Begin a transaction on the table as it is now; it fails where another one changes the table before it ends.

        Args:
            table: what `load` returned.

        Returns:
            Delta's `OptimisticTransaction`, for `commit`.
        """
        change = table.startTransaction(java_of(self.spark).scala.Option.empty())
        change.readWholeTable()
        return change

    def commit(self, change: Any, actions: Sequence[Mapping[str, object]]) -> None:
        """End a transaction.

        Args:
            change: what `begin` returned.
            actions: what the transaction does, each as a line of Delta's log (Delta protocol, "Actions").
        """
        operation = getattr(getattr(self._delta, "DeltaOperations$ManualUpdate$"), "MODULE$")
        change.commit(scala_sequence(self.spark, list(map(self._action, actions))), operation)

    def can_hold(self, column: pa.Field) -> bool:
        """Return whether Delta takes a column of this name and type.

        Args:
            column: a column of the output, in Arrow's types.
        """
        refusals: tuple[type[Exception], ...] = (*java_errors(), TypeError, ValueError)
        nowhere = self._path(join(write_path(self.output), "_delta_log/_"))  # no table is there, and none is made
        try:
            self._new_table(nowhere, [], pa.schema([column]))
        except refusals:
            return False
        return True

    def _new_table(self, folder: Any, partition_by: Sequence[str], columns: pa.Schema) -> Any:
        """A transaction that would make a table, which Delta has checked.

        Defaults of the session are not applied to it: they may ask for other names of columns in the files.
        """
        metadata = {
            "id": str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self._java(columns).json(),
            "partitionColumns": list(partition_by),
            "configuration": {"delta.isolationLevel": "Serializable"},
            "createdTime": int(time.time() * 1000),
        }
        change = self._log(folder).startTransaction()
        change.updateMetadata(self._action({"metaData": metadata}), True)
        return change

    def _action(self, line: Mapping[str, object]) -> Any:
        """A line of Delta's log as Delta's own object."""
        action = getattr(getattr(self._delta.actions, "Action$"), "MODULE$")
        return action.fromJson(json.dumps(line))

    def _log(self, folder: Any) -> Any:
        return self._delta.DeltaLog.forTable(java_session(self.spark), folder)

    def _path(self, path: str) -> Any:
        return java_of(self.spark).org.apache.hadoop.fs.Path(path)

    def _java(self, columns: pa.Schema) -> Any:
        from uniner_dist.spark.types import spark_schema

        return java_session(self.spark).parseDataType(spark_schema(columns).json())
