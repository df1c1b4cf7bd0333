"""A Delta table at one version, by `deltalake`: its live files, their partition values and deletion vectors.

The log decides everything; names of folders decide nothing. Files are read by Spark or by pyarrow, never by deltalake,
whose own reader applies deletion vectors in one process only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from uniner_dist.config.schemes import same_kind
from uniner_dist.errors import ConfigError, first_line
from uniner_dist.runtime.engines import require
from uniner_dist.storage.filesystem import is_local, open_fs
from uniner_dist.storage.listing import Listing, checked_locally
from uniner_dist.storage.table_names import without_java_scheme
from uniner_dist.storage.table_version import TableVersion, deletion_mark, value_text

#: Features of the protocol that a reader must know and this one does: what they change is in the log or in the files.
_KNOWN: Final = frozenset(
    {
        "appendOnly",
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "variantType",
        "variantType-preview",
        "vacuumProtocolCheck",
    }
)
_PHYSICAL: Final = "delta.columnMapping.physicalName"
_LOG: Final = "_delta_log"


def open_delta(root: str, version: int | None = None, as_of: datetime | None = None) -> Listing:
    """List a Delta table at a version, at a time, or as it is now.

    Args:
        root: path or URL of the table's folder.
        version: number of a commit; None: the latest, or the one at `as_of`.
        as_of: the latest commit not after this time counts; has a time zone. None: `version` decides.

    Returns:
        The live files, sorted by the path in the log, with partition values and deletion vectors in `table`.

    Raises:
        ConfigError: no such version, its log is gone, or it needs a feature that is not known here.
    """
    require("deltalake")
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(table_uri(root), version=version, storage_options=storage_options())
        if as_of is not None:
            table.load_as_version(_version_at(root, table, as_of))
        return _listing(root, table)
    except (DeltaError, OSError, ValueError) as error:
        words = first_line(error)
        if version is None:
            raise ConfigError(f"corpus {root}: the Delta table cannot be read: {words}") from error
        raise ConfigError(
            f"corpus {root}: the Delta table has no version {version} (any more): {words}; choose another by "
            "corpus.version, or leave that out"
        ) from error


def storage_options() -> dict[str, str]:
    """Return the options that deltalake's own client does not take from the environment as the other clients do.

    It is the endpoint of S3, from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, and leave to use it without TLS if its URL
    is `http://`; empty without such a variable.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    options = {"aws_endpoint": endpoint} if endpoint else {}
    return options | ({"allow_http": "true"} if endpoint.startswith("http://") else {})


def table_uri(root: str) -> str:
    """Return a table's folder as deltalake spells it: a local one as an absolute path, any other as it is.

    Args:
        root: path or URL of the folder.
    """
    fs, stripped = open_fs(root)
    return str(stripped) if is_local(fs) else root


def _version_at(root: str, table: Any, as_of: datetime) -> int:
    """The last version that was committed by a time."""
    commits = {int(entry["version"]): int(entry["timestamp"]) for entry in table.history() if "timestamp" in entry}
    limit = as_of.timestamp() * 1000
    found = [version for version, committed in commits.items() if committed <= limit]
    if not commits:
        raise ConfigError(f"corpus {root}: the log tells no times of its versions; choose one by corpus.version")
    if not found:
        raise ConfigError(
            f"corpus {root}: the log has no version as old as corpus.as_of={as_of.isoformat()}; its oldest is of "
            f"{datetime.fromtimestamp(min(commits.values()) / 1000, as_of.tzinfo).isoformat()}"
        )
    return max(found)


def _listing(root: str, table: Any) -> Listing:
    protocol, metadata = table.protocol(), table.metadata()
    unknown = sorted(set(protocol.reader_features or ()) - _KNOWN)
    if unknown:
        raise ConfigError(f"corpus {root}: the Delta table needs {', '.join(unknown)}, which is not read here")
    schema = pa.schema(table.schema().to_arrow())
    partitions = tuple(metadata.partition_columns)
    if any(pa.types.is_binary(schema.field(name).type) for name in partitions):
        raise ConfigError(f"corpus {root}: the Delta table is partitioned by bytes, which is not read here")
    stored_names = _stored_names(root, table, schema)
    actions = pa.table(table.get_add_actions(flatten=True)).sort_by("path")
    fs, stripped = open_fs(root)
    files = tuple(_file(root, stripped, path) for path in actions["path"].to_pylist())
    vectors = deletion_vectors(root, table)
    marks = [vectors.get(file, (0, b"")) for file in files]
    names = [f"partition.{stored_names.get(name, name)}" for name in partitions]
    columns = [_partition_column(actions, name, plain) for name, plain in zip(names, partitions, strict=True)]
    values = [dict(zip(partitions, map(value_text, row), strict=True)) for row in zip(*columns, strict=True)]
    return Listing(
        path=root,
        base=stripped,
        partitions=partitions,
        files=files,
        sizes=tuple(actions["size_bytes"].to_pylist()),
        versions=("",) * len(files),
        passed_over=(),
        checked=checked_locally(fs, files),
        plain=False,
        table=TableVersion(
            format="Delta",
            table_id=str(metadata.id),
            version=str(table.version()),
            schema=schema,
            values=tuple(values),
            deleted=tuple(count for count, _ in marks),
            marks=tuple(mark for _, mark in marks),
            stored_names=stored_names,
            renamed_inside=_renamed_inside(table),
        ),
    )


def _partition_column(actions: pa.Table, name: str, plain: str) -> list[Any]:
    """Values of a partition column; deltalake names it as it is stored, or as it is called."""
    found = name if name in actions.column_names else f"partition.{plain}"
    values: list[Any] = actions[found].to_pylist()
    return values


def _file(root: str, stripped: str, path: str) -> str:
    """A live file as the file system spells it; the log holds URLs, relative to the table or absolute."""
    name = unquote(path)
    if "://" not in name and not name.startswith("file:/"):
        return name if name.startswith("/") else f"{stripped}/{name}"
    location = without_java_scheme(name)
    if not same_kind(location, root):
        raise ConfigError(f"corpus {root}: the Delta table has files in another storage ({name})")
    return str(open_fs(location)[1])


def _stored_names(root: str, table: Any, schema: pa.Schema) -> dict[str, str]:
    """Name → name in the files, of columns that have another one there (column mapping)."""
    fields = json.loads(table.schema().to_json())["fields"]
    mapped = {field["name"]: field["metadata"].get(_PHYSICAL, field["name"]) for field in fields}
    return {name: stored for name, stored in mapped.items() if stored != name}


def _renamed_inside(table: Any) -> frozenset[str]:
    """Nested columns some of whose fields have another name in the files (column mapping)."""
    fields = json.loads(table.schema().to_json())["fields"]
    return frozenset(field["name"] for field in fields if _has_renamed(field["type"]))


def _has_renamed(kind: Any) -> bool:
    if not isinstance(kind, dict):
        return False
    inner = [kind.get(part) for part in ("elementType", "keyType", "valueType")]
    fields = kind.get("fields", [])
    renamed = any(field.get("metadata", {}).get(_PHYSICAL, field["name"]) != field["name"] for field in fields)
    return renamed or any(map(_has_renamed, [*inner, *(field["type"] for field in fields)]))


def deletion_vectors(root: str, table: Any) -> Mapping[str, tuple[int, bytes]]:
    """Return file → number of deleted rows, and which, as a `deletion_mark`, of those files of a table that have any.

    Empty where the table does not use the feature `deletionVectors`. Files are spelled as the file system does.

    Args:
        root: path or URL of the table's folder.
        table: deltalake's `DeltaTable`, at the version that is read.
    """
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return {}
    found: dict[str, tuple[int, bytes]] = {}
    for batch in table.deletion_vectors():
        batch = pa.record_batch(batch)
        for path, keep in zip(batch["filepath"], batch["selection_vector"], strict=True):
            deleted = ~np.asarray(keep.values.to_numpy(zero_copy_only=False), dtype=bool)
            found[str(open_fs(unquote(path.as_py()))[1])] = (int(deleted.sum()), deletion_mark(deleted))
    return found
