"""An output as a table: one commit says which of its files are live, and is made once.

The table is over the output's own files; partition columns are its folders, as strings. Nothing is written but the
table's log or metadata, which are in the output's own folder, or with a catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import pyarrow as pa

from uniner_dist.errors import StageError
from uniner_dist.runtime.compat.storage_internals import iceberg_schema
from uniner_dist.runtime.engines import require
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.control_files.forms import TABLE_FILE, has_form
from uniner_dist.storage.filesystem import file_size, find_files, join
from uniner_dist.storage.listing import shown
from uniner_dist.storage.tables.output_table import Change, NewFile, OpenTable, OutputTable, footer

#: Formats of a table that may be kept over an output.
TableFormat = Literal["delta", "iceberg"]
#: The package that writes each.
WRITTEN_BY: Mapping[TableFormat, str] = {"delta": "deltalake", "iceberg": "pyiceberg"}
#: Folders below the output that are written to.
_FOLDERS: Mapping[TableFormat, Sequence[str]] = {"delta": ("_delta_log",), "iceberg": ("_iceberg", "_iceberg/metadata")}


def commit_files(output: str, table_format: TableFormat, partition_by: Sequence[str], change: Change) -> None:
    """Commit a change of an output's files to the table in the output's folder, which is created if there is none.

    Args:
        output: path or URL of the published dataset.
        table_format: format of the table.
        partition_by: folder columns of the output, by which a new table is partitioned.
        change: see `commit_to`.

    Raises:
        ConfigError: the package that writes the format is not installed.
        OutsideError: the table's folder is a link, or its metadata name a file that is not in the output.
        StageError: see `commit_to`.
    """
    require(WRITTEN_BY[table_format])
    commit_to(partial(_open, output, table_format, partition_by), output, change)


def commit_to(open_table: OpenTable, output: str, change: Change) -> None:
    """Make the table say that the output's files, without those that go, are live; nothing where it does already.

    Args:
        open_table: opens the table, or creates it with the columns of the file that it is given.
        output: path or URL of the published dataset.
        change: the files that come, which are in place already, and those that go, of which none is removed before the
            commit.

    Raises:
        StageError: another program has changed the table or its folder, or the commit failed.
    """
    present = {name: file_size(info) for name, info in find_files(output, ".parquet").items()}
    with_rows = present.keys() - set(change.empty)
    wanted = with_rows - set(change.gone)
    table = open_table(min(wanted) if wanted else None)
    if table is None:
        return
    live = table.live()
    foreign = {name for name in live if not has_form(TABLE_FILE, name.rpartition("/")[2])}
    if live != wanted:
        foreign |= live ^ (with_rows - set(change.added))  # what was live before
    if foreign:
        raise StageError(
            f"{output}: the table was changed by another program ({shown(sorted(foreign))}); only this one may write "
            "to it. Copy it elsewhere, and publish to another output"
        )
    if live != wanted:
        added = [NewFile(name, present[name], int(footer(output, name).num_rows)) for name in sorted(wanted - live)]
        table.commit(added, sorted(live - wanted), change.transaction)


def unfit_columns(table_format: TableFormat, fields: Sequence[pa.Field]) -> list[str]:
    """Return the columns whose types a table cannot hold, as `name (type)` for a message; empty if all fit.

    Args:
        table_format: format of the table.
        fields: columns of the output with pyarrow's types.
    """
    unfit = []
    for field in fields:
        try:
            if table_format == "delta":
                from deltalake import Schema

                Schema.from_arrow(pa.schema([field]))
            else:
                iceberg_schema(pa.schema([field]))
        except Exception:  # each library has errors of its own for it
            unfit.append(f"{field.name} ({field.type})")
    return unfit


def _open(
    output: str, table_format: TableFormat, partition_by: Sequence[str], example: str | None
) -> OutputTable | None:
    """Open the table; a new one gets the columns of the example, and without one None is returned."""
    for folder in _FOLDERS[table_format]:
        require_no_link(join(output, folder))
    if table_format == "delta":
        from uniner_dist.storage.tables.delta_commit import open_delta_output

        return open_delta_output(output, partition_by, example)
    from uniner_dist.storage.tables.iceberg_commit import open_iceberg_output

    return open_iceberg_output(output, partition_by, example)
