"""An output as an Iceberg table in one of Spark's catalogs, written by the connector of Spark's session.

The table is over the output's own files, as that of `storage.tables.iceberg_commit` is, but the catalog keeps its
metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uniner_dist.errors import StageError
from uniner_dist.spark.catalog import quoted
from uniner_dist.spark.connector import told_as
from uniner_dist.spark.iceberg_connector import IcebergConnector
from uniner_dist.spark.paths import write_path
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.tables.output_table import NewFile, OutputTable, table_schema

#: Columns are found in the files by their names.
_NAMES = "schema.name-mapping.default"


def open_iceberg(connector: IcebergConnector, partition_by: list[str], example: str | None) -> OutputTable | None:
    """Return the table of an output, which is made if it is not there.

    Args:
        connector: to the catalog, for this output.
        partition_by: folder columns of the output, in order, by which a new table is partitioned.
        example: a file of the output, relative to it, whose columns a new table gets; None to make no table.

    Returns:
        The table as of its current snapshot; None where there is none and `example` is None.

    Raises:
        StageError: it cannot be read or made, or is partitioned otherwise than `partition_by`.
    """
    output = connector.output
    with told_as(f"{output}: its table {quoted(connector.parts)} cannot be opened or made"):
        if not connector.is_there():
            if example is None:
                return None
            connector.create(partition_by, table_schema(output, example, partition_by))
        table = connector.load()
        if table.properties().get(_NAMES) is None:  # a process may have ended before it did
            names = connector.iceberg.mapping.MappingUtil.create(table.schema())
            said = connector.iceberg.mapping.NameMappingParser.toJson(names)
            table.updateProperties().set(_NAMES, said).commit()
        return _CatalogTable(connector, table, partition_by)


class _CatalogTable:
    def __init__(self, connector: IcebergConnector, table: Any, partition_by: list[str]) -> None:
        self._connector, self._table, self._partition_by = connector, table, partition_by
        self._output, self._base = connector.output, write_path(connector.output)
        if [field.name() for field in table.spec().fields()] != partition_by:
            raise StageError(f"{self._output}: the partitions of its table were changed by another program")
        self._files = self._read_files()

    def live(self) -> frozenset[str]:
        """Its files, relative to the output."""
        return frozenset(self._files)

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one snapshot; its properties `uniner-dist.run` and `.times` name who made it."""
        with told_as(f"{self._output}: the commit of the Iceberg table failed"):
            change = self._table.newOverwrite()
            snapshot = self._table.currentSnapshot()
            if snapshot is not None:
                change.validateFromSnapshot(snapshot.snapshotId())
            change.conflictDetectionFilter(self._connector.iceberg.expressions.Expressions.alwaysTrue())
            change.validateNoConflictingData()
            change.validateNoConflictingDeletes()
            for file in added:
                change.addFile(self._data_file(file))
            for name in gone:
                change.deleteFile(self._data_file(self._files[name]))
            if transaction is not None:
                change.set("uniner-dist.run", transaction[0])
                change.set("uniner-dist.times", str(transaction[1]))
            change.commit()

    def _read_files(self) -> dict[str, NewFile]:
        """Live files by their names; others than data files of the output are foreign to it."""
        snapshot = self._table.currentSnapshot()
        if snapshot is None:
            return {}
        rows = self._connector.spark.sql(
            f"SELECT file_path, file_size_in_bytes, record_count FROM {quoted((*self._connector.parts, 'files'))} "
            f"VERSION AS OF {snapshot.snapshotId()}"
        ).collect()
        files = [NewFile(str(path).removeprefix(f"{self._base}/"), int(size), int(count)) for path, size, count in rows]
        return {file.name: file for file in files}

    def _data_file(self, file: NewFile) -> Any:
        made = self._connector.iceberg.DataFiles.builder(self._table.spec())
        made.withPath(f"{self._base}/{file.name}").withFormat("PARQUET")
        made.withRecordCount(file.rows).withFileSizeInBytes(file.size)
        if self._partition_by:
            values = partition_values(file.name)
            made.withPartitionValues([values.get(name) for name in self._partition_by])
        return made.build()
