"""An output as an Iceberg table, written by `pyiceberg`: manifests and metadata in its folder `_iceberg`.

The folder is hidden to readers of Parquet, and is itself the table: metadata is named as that of tables without a
catalog (`v3.metadata.json`, `version-hint.text`), so that readers of Iceberg find it by the folder.

Only the holder of the output's lease writes. A version counts when its metadata file is there; the hint follows.

Who may write to the output can write metadata too. Their properties could have pyiceberg load code or write elsewhere,
so only ours are taken, and every file that they name has to lie in the output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import assign_fresh_schema_ids
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record

from uniner_dist.core.characters import visible
from uniner_dist.errors import StageError, UninerError, first_line
from uniner_dist.runtime.compat.storage_internals import iceberg_schema
from uniner_dist.storage.filesystem import exists, is_local, join, list_names, open_fs, read_bytes, write_bytes
from uniner_dist.storage.hive import partition_values
from uniner_dist.storage.tables.iceberg_files import TableIO
from uniner_dist.storage.tables.output_table import LESS, NewFile, OutputTable, require_partitions, table_schema

_VERSION = re.compile(r"v(\d+)\.metadata\.json")
#: The table's folder in the output.
_FOLDER = "_iceberg"
#: Columns are found in the files by their names.
_NAMES = "schema.name-mapping.default"


def open_iceberg_output(output: str, partition_by: Sequence[str], example: str | None) -> OutputTable | None:
    """Open the Iceberg table of an output, or create it.

    Args:
        output: path or URL of the published dataset; the table's metadata is kept inside of it.
        partition_by: folder columns of the output, by which a new table is partitioned.
        example: a file of the output whose columns a new table has; None: no table is created.

    Returns:
        The table at its newest version; None if there is none and no example.

    Raises:
        OutsideError: the metadata names a file that is not in the output.
        StageError: it cannot be read or created, or its metadata is not this program's.
    """
    fs, stripped = open_fs(output)
    base = f"file://{stripped}" if is_local(fs) else output
    folder = _Folder(join(base, _FOLDER), base)
    if folder.version == 0:
        if example is None:
            return None
        with _told_as(f"{output}: its columns do not fit an Iceberg table"):
            _create(folder, output, partition_by, example)
    with _told_as(f"{folder.newest}: is damaged or not ours; nothing was done with it"):
        return _IcebergOutput(base, list(partition_by), folder.load())


@contextmanager
def _told_as(words: str) -> Iterator[None]:
    """Errors of pyiceberg, pydantic and Avro, which are of many kinds, as one of ours."""
    try:
        yield
    except UninerError:
        raise
    except Exception as error:
        said = visible(first_line(error))[:300]
        raise StageError(f"{words}: {said}") from error


def _create(folder: _Folder, output: str, partition_by: Sequence[str], example: str) -> None:
    schema = assign_fresh_schema_ids(iceberg_schema(table_schema(output, example, partition_by)))
    parts = [
        PartitionField(schema.find_field(name).field_id, 1000 + place, IdentityTransform(), name)
        for place, name in enumerate(partition_by)
    ]
    names = {_NAMES: schema.name_mapping.model_dump_json()}
    folder.write(new_table_metadata(schema, PartitionSpec(*parts), UNSORTED_SORT_ORDER, folder.location, names))


class _Folder(NoopCatalog):
    """A table's folder as its catalog."""

    def __init__(self, location: str, output: str) -> None:
        super().__init__("folder")
        self.location, self._io = location, TableIO(f"{location}/metadata", inside=output)
        names = (_VERSION.fullmatch(name) for name in list_names(f"{location}/metadata"))
        self.version = max((int(name[1]) for name in names if name), default=0)

    @property
    def newest(self) -> str:
        """The metadata of the newest version."""
        return self._path(self.version)

    def load(self) -> Table:
        """The table at its newest version.

        Raises:
            StageError: its metadata has properties that this program does not write.
        """
        path = self.newest
        metadata = FromInputFile.table_metadata(self._io.new_input(path))
        foreign = sorted(metadata.properties.keys() - {_NAMES})
        if foreign or metadata.location != self.location:
            words = f"properties {visible(', '.join(foreign))[:300]}" if foreign else "another folder"
            raise StageError(
                f"{path}: names {words}, which this program does not write, and only this one may write to the table; "
                "nothing was done with it"
            )
        self._name_newest()  # a process may have ended before it did
        return Table(("output",), metadata, path, self._io, self)

    def write(self, metadata: Any) -> str:
        """Write the next version, and return the path of its metadata."""
        path = self._path(self.version + 1)
        write_bytes(path, metadata.model_dump_json(exclude_none=True).encode())
        self.version += 1
        self._name_newest()
        return path

    def _name_newest(self) -> None:
        hint, said = f"{self.location}/metadata/version-hint.text", str(self.version).encode()
        if not exists(hint) or read_bytes(hint) != said:
            write_bytes(hint, said)

    def commit_table(
        self, table: Table, requirements: tuple[Any, ...], updates: tuple[Any, ...]
    ) -> CommitTableResponse:
        """What pyiceberg calls to make a change."""
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = update_table_metadata(table.metadata, updates, False, table.metadata_location)
        return CommitTableResponse(metadata=metadata, metadata_location=self.write(metadata))

    def _path(self, version: int) -> str:
        return f"{self.location}/metadata/v{version}.metadata.json"


class _IcebergOutput:
    def __init__(self, base: str, partition_by: list[str], table: Table) -> None:
        self._base, self._partition_by, self._table = base, partition_by, table
        require_partitions(base, [field.name for field in table.spec().fields], partition_by)
        tasks = table.scan().plan_files()
        live = {str(task.file.file_path) + LESS * bool(task.delete_files): task.file for task in tasks}
        self._files = {path.removeprefix(f"{base}/"): file for path, file in live.items()}  # others stay foreign

    def live(self) -> frozenset[str]:
        """See `OutputTable.live`."""
        return frozenset(self._files)

    def commit(self, added: Sequence[NewFile], gone: Sequence[str], transaction: tuple[str, int] | None) -> None:
        """See `OutputTable.commit`; properties `uniner-dist.run` and `.times` of the snapshot name who made it."""
        properties = (
            {"uniner-dist.run": transaction[0], "uniner-dist.times": str(transaction[1])} if transaction else {}
        )
        with (
            _told_as(f"{self._base}: the commit of the Iceberg table failed"),
            self._table.transaction() as change,
            change.update_snapshot(snapshot_properties=properties).overwrite() as files,
        ):
            for file in added:
                files.append_data_file(self._data_file(file))
            for name in gone:
                files.delete_data_file(self._files[name])

    def _data_file(self, file: NewFile) -> DataFile:
        values = partition_values(file.name)
        made = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=join(self._base, file.name),
            file_format=FileFormat.PARQUET,
            partition=Record(*(values.get(name) for name in self._partition_by)),
            record_count=file.rows,
            file_size_in_bytes=file.size,
        )
        made.spec_id = self._table.spec().spec_id
        return made
