"""Delta and Iceberg tables for tests, made by deltalake and pyiceberg; deletion vectors by the formats' own rules."""

from __future__ import annotations

import base64
import json
import struct
import uuid
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestEntryStatus
from pyiceberg.typedef import Record
from pyroaring import BitMap64

_DELTA_MAGIC = 1681511377


def rows(*numbers: int, text: str = "Ada met Babbage in {}.") -> pa.Table:
    """Documents of these ids."""
    return pa.table({"doc_id": [str(n) for n in numbers], "text": [text.format(n) for n in numbers]})


def delta(folder: Path, *numbers: int, **options: Any) -> str:
    """A new Delta table with these documents."""
    write_deltalake(str(folder), rows(*numbers), **options)
    return str(folder)


def mark_deleted(folder: str, places: list[int]) -> None:
    """Commit a deletion vector for the one file of a Delta table."""
    table, log = DeltaTable(folder), Path(folder, "_delta_log")
    added = next(
        json.loads(line)["add"]
        for file in sorted(log.glob("*.json"), reverse=True)
        for line in file.read_text().splitlines()
        if '"add"' in line
    )
    payload = struct.pack("<i", _DELTA_MAGIC) + BitMap64(places).serialize()
    name = uuid.uuid4()
    framed = b"\x01" + struct.pack(">i", len(payload)) + payload + struct.pack(">I", zlib.crc32(payload))
    Path(folder, f"deletion_vector_{name}.bin").write_bytes(framed)
    vector = {
        "storageType": "u",
        "pathOrInlineDv": _z85(name.bytes),
        "offset": 1,
        "sizeInBytes": len(payload),
        "cardinality": len(places),
    }
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    actions = [
        {"commitInfo": {"timestamp": 1, "operation": "DELETE"}},
        {"protocol": protocol},
        {"remove": {"path": added["path"], "deletionTimestamp": 1, "dataChange": True}},
        {"add": {**added, "deletionVector": vector}},
    ]
    Path(log, f"{table.version() + 1:020}.json").write_text("\n".join(map(json.dumps, actions)) + "\n")


def _z85(data: bytes) -> str:
    """Bytes as Delta spells the names of deletion vectors; Python's base85 has other digits in the same order."""
    python = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    return base64.b85encode(data).decode().translate(str.maketrans(python, z85))


def catalog(folder: Path) -> SqlCatalog:
    """A catalog in a folder, with the schema `ns`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
    made.create_namespace_if_not_exists("ns")
    return made


def iceberg(folder: Path, *numbers: int, **options: Any) -> Any:
    """A new Iceberg table `ns.t` with these documents."""
    data = rows(*numbers)
    table = catalog(folder).create_table("ns.t", schema=data.schema, **options)
    table.append(data)
    return table


def delete_by_file(table: Any, places: list[int], equality: bool = False, vector: bool = False) -> None:
    """Commit a delete file of a table's first data file: of positions, of equal ids, or a deletion vector."""
    data_file = next(iter(table.scan().plan_files())).file
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.{'puffin' if vector else 'parquet'}"
    local = path.removeprefix("file://")
    if vector:
        Path(local).write_bytes(_puffin(data_file.file_path, places))
    elif equality:
        pq.write_table(pa.table({"doc_id": [str(place) for place in places]}), local)
    else:
        positions = pa.array(places, pa.int64())
        pq.write_table(pa.table({"file_path": [data_file.file_path] * len(places), "pos": positions}), local)
    kind = DataFileContent.EQUALITY_DELETES if equality else DataFileContent.POSITION_DELETES
    deletes = DataFile.from_args(
        content=kind,
        file_path=path,
        file_format=FileFormat.PUFFIN if vector else FileFormat.PARQUET,
        partition=data_file.partition,
        record_count=len(places),
        file_size_in_bytes=Path(local).stat().st_size,
        equality_ids=[1] if equality else None,
    )
    deletes.spec_id = 0
    _commit_deletes(table, deletes)


def _puffin(data_file: str, places: list[int]) -> bytes:
    """A Puffin file with one deletion vector."""
    bitmap = bytes.fromhex("d1d33964") + BitMap64(places).serialize()
    blob = struct.pack(">i", len(bitmap)) + bitmap + struct.pack(">I", zlib.crc32(bitmap))
    about = {
        "type": "deletion-vector-v1",
        "fields": [2147483645],
        "snapshot-id": -1,
        "sequence-number": -1,
        "offset": 4,
        "length": len(blob),
        "properties": {"referenced-data-file": data_file, "cardinality": str(len(places))},
    }
    footer = json.dumps({"blobs": [about], "properties": {}}).encode()
    return b"PFA1" + blob + b"PFA1" + footer + struct.pack("<i", len(footer)) + bytes(4) + b"PFA1"


def _commit_deletes(table: Any, deletes: DataFile) -> None:
    """A snapshot that adds one delete file, whose manifest pyiceberg has no call for."""
    from pyiceberg.manifest import ManifestContent, ManifestWriterV2
    from pyiceberg.table.update.snapshot import _FastAppendFiles

    class DeleteManifest(ManifestWriterV2):
        def content(self) -> ManifestContent:
            return ManifestContent.DELETES

        @property
        def _meta(self) -> dict[str, str]:
            return {**super()._meta, "content": "deletes"}

    class DeleteFiles(_FastAppendFiles):
        def _manifests(self) -> list[Any]:
            entry = ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=self.snapshot_id, data_file=deletes
            )
            writer = DeleteManifest(
                spec=table.spec(),
                schema=table.schema(),
                output_file=self.new_manifest_output(),
                snapshot_id=self._snapshot_id,
                avro_compression="deflate",
            )
            with writer:
                writer.add(entry)
            return [writer.to_manifest_file(), *self._existing_manifests()]

    from pyiceberg.table.snapshots import Operation

    with table.transaction() as transaction:
        DeleteFiles(operation=Operation.OVERWRITE, transaction=transaction, io=table.io).commit()


def need_features(folder: str, reader: list[str], writer: list[str]) -> None:
    """Commit a protocol with these features to a Delta table."""
    log, version = Path(folder, "_delta_log"), DeltaTable(folder).version() + 1
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer}
    Path(log, f"{version:020}.json").write_text(json.dumps({"protocol": protocol}) + "\n")


def with_fields(table: Any, *fields: dict[str, Any]) -> str:
    """Further metadata of an Iceberg table, of format version 3, whose current schema has more fields; its path."""
    path = Path(table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    schema = dict(metadata["schemas"][0])
    schema |= {"schema-id": 1, "fields": [*schema["fields"], *fields]}
    last = fields[-1]["id"]
    metadata |= {"format-version": 3, "next-row-id": 0, "current-schema-id": 1, "last-column-id": last}
    metadata["schemas"].append(schema)
    made = path.with_name("made.metadata.json")
    made.write_text(json.dumps(metadata))
    return str(made)


def add_file(table: Any, data: pa.Table, *partition: Any, **options: Any) -> None:
    """Append a data file without field ids to an Iceberg table, with these partition values."""
    path = Path(table.location().removeprefix("file://"), f"data/{uuid.uuid4()}.parquet")
    pq.write_table(data, path)
    made = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(*partition),
        record_count=len(data),
        file_size_in_bytes=path.stat().st_size,
        **options,
    )
    made.spec_id = table.spec().spec_id
    with table.transaction() as change:
        change.set_properties({"schema.name-mapping.default": table.schema().name_mapping.model_dump_json()})
        with change.update_snapshot().fast_append() as files:
            files.append_data_file(made)


def rename_column(folder: str, old: str, new: str, inside: str = "") -> None:
    """Rename a column of a Delta table by column mapping, as engines do that have it: the files stay as they are.

    Args:
        inside: put before the names of all fields of nested columns.
    """
    table, log = DeltaTable(folder), Path(folder, "_delta_log")
    found = [
        json.loads(line)["metaData"]
        for file in sorted(log.glob("*.json"))
        for line in file.read_text().splitlines()
        if '"metaData"' in line
    ]
    schema = json.loads(found[-1]["schemaString"])
    for number, field in enumerate(schema["fields"], 1):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
        field["name"] = new if field["name"] == old else field["name"]
        _name_inside(field["type"], inside)
    mapping = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": str(len(schema["fields"]))}
    by = [new if name == old else name for name in found[-1]["partitionColumns"]]
    metadata = {**found[-1], "schemaString": json.dumps(schema), "configuration": mapping, "partitionColumns": by}
    actions = [{"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, {"metaData": metadata}]
    Path(log, f"{table.version() + 1:020}.json").write_text("\n".join(map(json.dumps, actions)) + "\n")


def _name_inside(kind: Any, before: str) -> None:
    """Give fields of a nested type their physical names and ids, and other names."""
    if isinstance(kind, dict):
        for part in ("elementType", "keyType", "valueType"):
            _name_inside(kind.get(part), before)
        for number, field in enumerate(kind.get("fields", []), 100):
            field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
            field["name"] = before + field["name"]
            _name_inside(field["type"], before)
