"""An Iceberg table at one snapshot, by `pyiceberg`: its scan tasks, each of which one of Spark's tasks reads.

pyiceberg plans and reads: field ids, renamed columns, initial defaults, partition values, position deletes and deletion
vectors are its work. Equality deletes, which it does not apply, are refused. Metadata comes from one file or from a
catalog; the properties that a table's metadata names are not acted upon, since they may load code.
"""

from __future__ import annotations

import gzip
import pickle
from datetime import datetime
from typing import Any

from uniner_dist.errors import ConfigError, first_line
from uniner_dist.runtime.engines import require
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.listing import Listing
from uniner_dist.storage.retries import with_retries
from uniner_dist.storage.table_names import TABLE, without_java_scheme
from uniner_dist.storage.table_version import TableVersion


def open_iceberg_file(
    path: str, metadata_file: str, version: int | str | None, as_of: datetime | None, pinned: str | None
) -> Listing:
    """List the Iceberg table of a metadata file at one snapshot.

    Args:
        path: the corpus as the user gave it.
        metadata_file: path or URL of a `*.metadata.json`, which may be compressed by gzip.
        version: id of a snapshot, or name of a branch or tag; None: the current one, or the one at `as_of`.
        as_of: the snapshot that was current at this time counts; has a time zone. None: `version` decides.
        pinned: ids `SNAPSHOT.SCHEMA` of what an earlier start of the run has read, which come before the other two;
            None: nothing yet.

    Returns:
        The live files, sorted by path, with the scan task of each in `table`; none for a table without a snapshot.

    Raises:
        ConfigError: the file is not there or no Iceberg metadata, has no such snapshot, or the table has files or
            deletes that are not read here, or files of its metadata are gone.
        OutsideError: the metadata names a file on another kind of storage.
        StorageError: a file of the metadata cannot be read.
    """
    require("pyiceberg")
    from pyiceberg.exceptions import ValidationError
    from pyiceberg.table.metadata import TableMetadataUtil

    from uniner_dist.storage.tables.iceberg_files import TableIO

    fs, stripped = open_fs(metadata_file)
    try:
        data: bytes = with_retries(metadata_file, lambda: fs.cat_file(stripped))
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        metadata = TableMetadataUtil.parse_raw(text.decode())
    except FileNotFoundError:
        raise ConfigError(f"corpus {metadata_file}: is not there") from None
    except (ValueError, OSError, ValidationError) as error:
        raise ConfigError(
            f"corpus {path}: {metadata_file} is not Iceberg metadata that can be read: {_reason(error)}"
        ) from error
    return _listing(path, metadata_file, metadata, TableIO(metadata_file), version, as_of, pinned)


def _reason(error: Exception) -> str:
    """What is wrong with metadata, in one line: pydantic gives the place in one line and the problem in the next."""
    lines = [line.partition(" [type=")[0].strip() for line in str(error).strip().splitlines()]
    found = [line for line in lines if line.startswith("Value error, ")]
    return found[0].removeprefix("Value error, ") if found else ": ".join(lines[:3])


def open_iceberg_catalog(path: str, version: int | str | None, as_of: datetime | None, pinned: str | None) -> Listing:
    """List the table of a catalog of pyiceberg's configuration (`~/.pyiceberg.yaml`, `PYICEBERG_CATALOG__…`).

    Args:
        path: the corpus as the user gave it, `table:CATALOG.SCHEMA.NAME`.
        version: as in `open_iceberg_file`.
        as_of: likewise.
        pinned: likewise.

    Returns:
        The live files, sorted by path, with the scan task of each in `table`; none for a table without a snapshot.

    Raises:
        ConfigError: no such catalog, table or snapshot, or the table has files or deletes that are not read here, or
            files of its metadata are gone.
        OutsideError: the metadata names a file on another kind of storage.
        StorageError: a file of the metadata cannot be read.
    """
    table = load_table(path)
    return _listing(path, table.metadata_location, table.metadata, table.io, version, as_of, pinned)


def load_table(path: str) -> Any:
    """Return a table, as pyiceberg's `Table`, by its name in a catalog of pyiceberg's.

    Args:
        path: the corpus as the user gave it, `table:CATALOG.SCHEMA.NAME`.

    Raises:
        ConfigError: the name has no catalog, there is no such table, or the catalog cannot be reached.
    """
    require("pyiceberg")
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError

    catalog, _, name = path.removeprefix(TABLE).partition(".")
    if "." not in name:
        raise ConfigError(f"corpus {path}: the name of a table is {TABLE}CATALOG.SCHEMA.NAME")
    try:
        return load_catalog(catalog).load_table(name)
    except NoSuchTableError as error:
        raise ConfigError(f"corpus {path}: the catalog has no such table") from error
    except Exception as error:  # every kind of catalog has errors of its own
        raise ConfigError(
            f"corpus {path}: neither Spark's settings nor pyiceberg's say how to reach the catalog {catalog!r}, or it "
            f"does not answer: {first_line(error)}"
        ) from error


def _listing(
    path: str,
    named_by: str,
    metadata: Any,
    io: Any,
    version: int | str | None,
    as_of: datetime | None,
    pinned: str | None,
) -> Listing:
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.table import DataScan

    from uniner_dist.storage.tables.iceberg_files import IcebergReader, require_same_kind

    snapshot, schema_id = _chosen(path, metadata, version, as_of, pinned)
    schema = next(one for one in metadata.schemas if one.schema_id == schema_id)
    tasks: list[Any] = []
    if snapshot is not None:
        scan = DataScan(table_metadata=metadata, io=io, snapshot_id=snapshot.snapshot_id)
        try:
            with_retries(named_by, lambda: _refuse_equality_deletes(path, snapshot, io))
            planned = with_retries(named_by, lambda: list(scan.plan_files()))
        except FileNotFoundError as error:
            raise ConfigError(
                f"corpus {path}: a file of the Iceberg table's metadata is gone ({first_line(error)}); choose another "
                "snapshot by corpus.version"
            ) from error
        tasks = sorted(planned, key=lambda task: str(task.file.file_path))
    files = tuple(without_java_scheme(str(task.file.file_path)) for task in tasks)
    for file in files:
        require_same_kind(file, without_java_scheme(named_by))
    kinds = {str(task.file.file_format).rpartition(".")[2].lower() for task in tasks} - {"parquet"}
    if kinds:
        raise ConfigError(f"corpus {path}: the Iceberg table has {', '.join(sorted(kinds))} files, which are not read")
    if any(task.file.key_metadata for task in tasks):
        raise ConfigError(f"corpus {path}: the Iceberg table has encrypted files, which are not read here")
    partitions = _identity_columns(metadata, schema)
    number = snapshot.snapshot_id if snapshot is not None else 0
    reader = IcebergReader(_without_history(metadata), io, schema)
    return Listing(
        path=path,
        base="",
        partitions=partitions,
        files=files,
        sizes=tuple(int(task.file.file_size_in_bytes) for task in tasks),
        versions=("",) * len(tasks),
        passed_over=(),
        checked=frozenset(),
        plain=False,
        table=TableVersion(
            format="Iceberg",
            table_id=str(metadata.table_uuid),
            version=f"{number}.{schema_id}",
            schema=schema_to_pyarrow(schema, include_field_ids=False),
            deleted=(0,) * len(tasks),
            marks=tuple(pickle.dumps(task) for task in tasks),
            rows=tuple(int(task.file.record_count) for task in tasks),
            rows_are_exact=not any(task.delete_files for task in tasks),
            read_file=reader,
        ),
    )


def _chosen(
    path: str, metadata: Any, version: int | str | None, as_of: datetime | None, pinned: str | None
) -> tuple[Any, int]:
    """The snapshot, None for a table without any, and the number of the schema that it is read with."""
    if pinned is not None:
        number, _, schema = pinned.partition(".")
        return (_snapshot(path, metadata, int(number)) if int(number) else None), int(schema)
    if as_of is not None:
        snapshot = _snapshot_at(path, metadata, as_of)
    elif version is not None:
        reference = metadata.refs.get(str(version))
        snapshot = _snapshot(path, metadata, reference.snapshot_id if reference is not None else version)
    else:
        return metadata.current_snapshot(), metadata.current_schema_id
    return snapshot, metadata.current_schema_id if snapshot.schema_id is None else snapshot.schema_id


def _snapshot(path: str, metadata: Any, number: int | str) -> Any:
    found = metadata.snapshot_by_id(int(number)) if str(number).isdigit() else None
    if found is None:
        known = ", ".join(str(one.snapshot_id) for one in metadata.snapshots[-3:]) or "none"
        raise ConfigError(
            f"corpus {path}: the Iceberg table has no snapshot, branch or tag {number}; it may have been expired. "
            f"Choose another by corpus.version; its latest snapshots are {known}"
        )
    return found


def _snapshot_at(path: str, metadata: Any, as_of: datetime) -> Any:
    limit = as_of.timestamp() * 1000
    entries = [entry for entry in metadata.snapshot_log if entry.timestamp_ms <= limit]
    if not entries:
        raise ConfigError(f"corpus {path}: the table has no snapshot as old as corpus.as_of={as_of.isoformat()}")
    return _snapshot(path, metadata, entries[-1].snapshot_id)


def _refuse_equality_deletes(path: str, snapshot: Any, io: Any) -> None:
    from pyiceberg.manifest import DataFileContent, ManifestContent

    for manifest in snapshot.manifests(io):
        if manifest.content == ManifestContent.DELETES:
            for entry in manifest.fetch_manifest_entry(io, discard_deleted=True):
                if entry.data_file.content == DataFileContent.EQUALITY_DELETES:
                    raise ConfigError(
                        f"corpus {path}: the Iceberg table has equality deletes, which are not applied here; compact "
                        "it first (rewrite_data_files)"
                    )


def _identity_columns(metadata: Any, schema: Any) -> tuple[str, ...]:
    """Columns whose own values partition the table now."""
    from pyiceberg.transforms import IdentityTransform

    names = []
    for field in metadata.spec().fields:
        if isinstance(field.transform, IdentityTransform):
            name = schema.find_column_name(field.source_id)
            if name is not None and "." not in name:
                names.append(name)
    return tuple(names)


def _without_history(metadata: Any) -> Any:
    """What tasks need of a table: its schemas and partition specs, and none of its thousands of snapshots."""
    empty: dict[str, object] = {"snapshots": [], "snapshot_log": [], "metadata_log": [], "refs": {}}
    return metadata.model_copy(update=empty | {"current_snapshot_id": None})
