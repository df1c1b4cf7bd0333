"""An output as a Delta table, written by `deltalake`: only the log, and in it the transaction of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from uniner_dist.core.characters import visible
from uniner_dist.errors import StageError, first_line
from uniner_dist.storage.filesystem import exists, join, open_fs
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.tables.delta import deletion_vectors, storage_options, table_uri
from uniner_dist.storage.tables.output_table import LESS, NewFile, OutputTable, require_partitions, table_schema


def open_delta_output(output: str, partition_by: Sequence[str], example: str | None) -> OutputTable | None:
    """Open the Delta table of an output, or create it.

    Args:
        output: path or URL of the published dataset; the table's log is kept inside of it.
        partition_by: folder columns of the output, by which a new table is partitioned.
        example: a file of the output whose columns a new table has; None: no table is created.

    Returns:
        The table at its newest version; None if there is none and no example.

    Raises:
        StageError: it cannot be read or created.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    uri, options = table_uri(output), storage_options()
    try:
        if not exists(join(output, "_delta_log")):
            if example is None:
                return None
            schema = table_schema(output, example, partition_by)
            DeltaTable.create(uri, schema=schema, partition_by=list(partition_by), storage_options=options)
        return _DeltaOutput(output, DeltaTable(uri, storage_options=options), list(partition_by))
    except (DeltaError, OSError, ValueError) as error:
        words = visible(first_line(error))[:300]
        raise StageError(f"{output}: the Delta table cannot be opened: {words}") from error


class _DeltaOutput:
    def __init__(self, output: str, table: Any, partition_by: list[str]) -> None:
        self._output, self._table, self._partition_by = output, table, partition_by
        require_partitions(output, table.metadata().partition_columns, partition_by)
        paths: list[str] = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
        cut = deletion_vectors(output, table)
        base = open_fs(output)[1]
        self._live = frozenset(name + LESS * (f"{base}/{name}" in cut) for name in map(unquote, paths))

    def live(self) -> frozenset[str]:
        """See `OutputTable.live`."""
        return self._live

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """See `OutputTable.commit`; the transaction is recorded as an app transaction of Delta (`txn`)."""
        from deltalake import CommitProperties
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import AddAction, RemoveAction, Transaction

        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=file.name,
                size=file.size,
                partition_values=partition_values(file.name),
                modification_time=now,
                data_change=True,
                stats=json.dumps({"numRecords": file.rows}),
            )
            for file in added
        ]
        actions += [RemoveAction(name, True, now) for name in gone]
        properties = CommitProperties(app_transactions=[Transaction(*transaction)] if transaction else None)
        try:
            self._table.create_write_transaction(
                actions, "append", self._table.schema(), self._partition_by, commit_properties=properties
            )
        except (DeltaError, OSError, ValueError) as error:
            raise StageError(f"{self._output}: the commit of the Delta table failed: {error}") from error
