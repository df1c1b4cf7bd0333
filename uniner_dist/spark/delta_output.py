"""An output as a Delta table in one of Spark's catalogs, written by the connector of Spark's session.

The table is over the output's own folder, as that of `storage.tables.delta_commit` is, and its log is the same; the
catalog knows its name and location.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

from uniner_dist.runtime.compat.spark_internals import python_frame
from uniner_dist.spark.catalog import quoted
from uniner_dist.spark.connector import told_as
from uniner_dist.spark.delta_connector import DeltaConnector
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.filesystem import exists, join
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.tables.output_table import LESS, NewFile, OutputTable, table_schema

#: Characters that are not escaped in the log's paths: readers compare these as they are spelled, and so does deltalake.
_PLAIN = "/!$&()+,;=@"


def open_delta(connector: DeltaConnector, partition_by: list[str], example: str | None) -> OutputTable | None:
    """Return the table of an output, which is made, or put into the catalog, if it is not there.

    Args:
        connector: to the catalog, for this output.
        partition_by: folder columns of the output, in order, by which a new table is partitioned.
        example: a file of the output, relative to it, whose columns a new table gets; None to make no table.

    Returns:
        The table, with a transaction begun on its present version; None where there is none and `example` is None.

    Raises:
        OutsideError: the folder of its log is a link.
        StageError: it cannot be read or made.
    """
    output = connector.output
    log = join(output, "_delta_log")
    require_no_link(log)
    with told_as(f"{output}: its table {quoted(connector.parts)} cannot be opened or made"):
        if not connector.is_there():
            if not exists(log):
                if example is None:
                    return None
                connector.create(partition_by, table_schema(output, example, partition_by))
            connector.register()
        return _CatalogTable(connector, connector.begin(connector.load()), partition_by)


class _CatalogTable:
    def __init__(self, connector: DeltaConnector, change: Any, partition_by: list[str]) -> None:
        self._connector, self._change, self._output = connector, change, connector.output
        files = python_frame(connector.spark, change.snapshot().allFiles().toDF())
        rows = files.selectExpr("path", "deletionVector IS NULL AS whole").collect()
        self._files = {unquote(path) + LESS * (not whole): path for path, whole in rows}

    def live(self) -> frozenset[str]:
        """Its files, relative to the output."""
        return frozenset(self._files)

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """Exchange files in one commit."""
        now = int(time.time() * 1000)
        actions: list[dict[str, object]] = []
        if transaction is not None:
            actions.append({"txn": {"appId": transaction[0], "version": transaction[1], "lastUpdated": now}})
        actions += [{"add": _added(file, now)} for file in added]
        actions += [
            {"remove": {"path": self._files[name], "deletionTimestamp": now, "dataChange": True}} for name in gone
        ]
        with told_as(f"{self._output}: the commit of the Delta table failed"):
            self._connector.commit(self._change, actions)


def _added(file: NewFile, now: int) -> dict[str, object]:
    return {
        "path": quote(file.name, safe=_PLAIN),
        "partitionValues": partition_values(file.name),
        "size": file.size,
        "modificationTime": now,
        "dataChange": True,
        "stats": json.dumps({"numRecords": file.rows}),
    }
