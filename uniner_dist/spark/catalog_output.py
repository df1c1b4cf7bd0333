"""An output as a table in one of Spark's catalogs, of whatever format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import ConfigError
from uniner_dist.spark.catalog import session_with
from uniner_dist.spark.connector import Connector, catalog_of, told_as
from uniner_dist.spark.delta_connector import DeltaConnector
from uniner_dist.spark.delta_output import open_delta
from uniner_dist.spark.explain import java_errors, reason
from uniner_dist.spark.iceberg_connector import IcebergConnector
from uniner_dist.spark.iceberg_output import open_iceberg
from uniner_dist.storage.tables.commit import TableFormat
from uniner_dist.storage.tables.output_table import OpenTable, OutputTable


@dataclass(frozen=True)
class _Kind:
    """A format: its name in messages, its connector, and the function that opens a table with it."""

    words: str
    connector: Callable[[Any, str, str], Connector]
    open: Callable[[Any, list[str], str | None], OutputTable | None]


_KINDS: Mapping[TableFormat, _Kind] = {
    "delta": _Kind("a Delta table", DeltaConnector, open_delta),
    "iceberg": _Kind("an Iceberg table", IcebergConnector, open_iceberg),
}


@contextmanager
def output_in_catalog(
    table_format: TableFormat, name: str, output: str, partition_by: Sequence[str], settings: SparkConfig
) -> Iterator[OpenTable]:
    """Yield the function that opens an output's table, while a Spark session has its catalog.

    Args:
        table_format: `delta` or `iceberg`.
        name: `table:CATALOG.SCHEMA.NAME`.
        output: path or URL of the output whose files the table lists.
        partition_by: folder columns of the output, in order, by which a new table is partitioned.
        settings: master and properties of the session that is started where none is running.

    Yields:
        A function that returns the table. It takes a file of the output, relative to it, whose columns a new table
        gets; given None it makes no table, and returns None where there is none.

    Raises:
        StageError: no session has the catalog, or its connector cannot be used. The yielded function raises it where
            the table cannot be read or made.
    """
    kind = _KINDS[table_format]
    with session_with(catalog_of(name), settings) as spark:
        with told_as(f"{output}: its table {name} cannot be opened"):
            connector = kind.connector(spark, name, output)
        yield partial(kind.open, connector, list(partition_by))


def table_problems(
    table_format: TableFormat, name: str, output: str, settings: SparkConfig, columns: Sequence[pa.Field]
) -> list[str]:
    """Return why an output cannot be kept as a table, as far as can be seen before the table is made.

    Args:
        table_format: `delta` or `iceberg`.
        name: `table:CATALOG.SCHEMA.NAME`.
        output: path or URL of the output whose files the table is to list.
        settings: master and properties of the session that is started where none is running.
        columns: columns of the output to check, in Arrow's types.

    Returns:
        Messages for the user that begin with `output.table=NAME:`; empty where nothing is wrong.
    """
    kind = _KINDS[table_format]
    with session_with(catalog_of(name), settings) as spark:
        try:
            connector = kind.connector(spark, name, output)
            connector.require_schema()
            if connector.is_there():
                connector.load()
        except ConfigError as error:
            return [f"output.table={name}: {problem}" for problem in error.problems]
        except java_errors() as error:
            return [f"output.table={name}: the catalog does not answer: {reason(error)}"]
        unfit = [column for column in columns if not connector.can_hold(column)]
    return [
        f"output.table={name}: {kind.words} cannot hold the column {column.name} ({column.type}); leave it out, or "
        "write Parquet"
        for column in unfit
    ]
