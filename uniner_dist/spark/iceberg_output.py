"""An output as an Iceberg table in one of Spark's catalogs, written by the connector of Spark's session.

The table is over the output's own files, as that of `storage.tables.iceberg_commit` is, but the catalog keeps its
metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.spark.catalog import quoted, session_with
from uniner_dist.spark.iceberg_connector import Connector, catalog_of, java_errors, reason
from uniner_dist.spark.paths import write_path
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.tables.output_table import NewFile, OpenTable, OutputTable, table_schema

#: Columns are found in the files by their names.
_NAMES = "schema.name-mapping.default"


@contextmanager
def iceberg_in_catalog(
    name: str, output: str, partition_by: Sequence[str], settings: SparkConfig
) -> Iterator[OpenTable]:
    """What opens the table, while a session of Spark is there.

    Args:
        name: `table:CATALOG.SCHEMA.NAME`.
        output: path or URL of the output whose files the table lists.
        partition_by: folder columns of the output, by which a new table is partitioned.
        settings: of the session that is started, if none is there.

    Raises:
        StageError: no session has the catalog, or its connector cannot be used; opening: it cannot be read or made.
    """
    with session_with(catalog_of(name), settings) as spark:
        with _told_as(f"{output}: its table {name} cannot be opened"):
            connector = Connector(spark, name)
        yield partial(_open, connector, output, list(partition_by))


def table_problems(name: str, output: str, settings: SparkConfig, columns: Sequence[pa.Field]) -> list[str]:
    """Why an output cannot be kept as a table, as far as can be seen before it is made.

    Args:
        name: `table:CATALOG.SCHEMA.NAME`.
        output: path or URL of the output.
        settings: of the session that is started, if none is there.
        columns: of the output, in Arrow's types.
    """
    with session_with(catalog_of(name), settings) as spark:
        try:
            connector = Connector(spark, name)
            connector.require_schema()
            if connector.is_there():
                connector.load(output)
        except ConfigError as error:
            return [f"output.table={name}: {problem}" for problem in error.problems]
        except java_errors() as error:
            return [f"output.table={name}: the catalog does not answer: {reason(error)}"]
        unfit = [column for column in columns if not connector.can_hold(column)]
    return [
        f"output.table={name}: an Iceberg table cannot hold the column {column.name} ({column.type}); leave it out, or "
        "write Parquet"
        for column in unfit
    ]


def _open(connector: Connector, output: str, partition_by: list[str], example: str | None) -> OutputTable | None:
    with _told_as(f"{output}: its table {quoted(connector.parts)} cannot be opened or made"):
        if not connector.is_there():
            if example is None:
                return None
            connector.create(output, partition_by, table_schema(output, example, partition_by))
        table = connector.load(output)
        if table.properties().get(_NAMES) is None:  # a process may have ended before it did
            names = connector.iceberg.mapping.MappingUtil.create(table.schema())
            said = connector.iceberg.mapping.NameMappingParser.toJson(names)
            table.updateProperties().set(_NAMES, said).commit()
        return _CatalogTable(connector, table, output, partition_by)


class _CatalogTable:
    def __init__(self, connector: Connector, table: Any, output: str, partition_by: list[str]) -> None:
        self._connector, self._table, self._output, self._partition_by = connector, table, output, partition_by
        self._base = write_path(output)
        if [field.name() for field in table.spec().fields()] != partition_by:
            raise StageError(f"{output}: the partitions of its table were changed by another program")
        self._files = self._read_files()

    def live(self) -> frozenset[str]:
        """Its files, relative to the output."""
        return frozenset(self._files)

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one snapshot; its properties `uniner-dist.run` and `.times` name who made it."""
        with _told_as(f"{self._output}: the commit of the Iceberg table failed"):
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


@contextmanager
def _told_as(words: str) -> Iterator[None]:
    """Errors of Java and of Spark, and what `Connector` has to say, as one of ours."""
    refusals: tuple[type[Exception], ...] = (*java_errors(), ConfigError)
    try:
        yield
    except refusals as error:
        raise StageError(f"{words}: {reason(error)}") from error
