"""Outputs that are tables too, as the libraries of their formats read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import StaticTable

from uniner_dist.storage.hive import folder_name
from uniner_dist.storage.tables.commit import TableFormat

ENTITIES = pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32())]))


def write(output: Path, label: str | None, number: int) -> tuple[str, dict[str, Any]]:
    """A file of an output: its name, and its one row."""
    row = {"doc_id": f"d{number}", "entities": [{"text": "Ada", "start": number}], "outcome": "found"}
    name = f"{folder_name('entity_type', label or '')}/part-{number:012}-0.parquet"
    (output / name).parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("doc_id", pa.string()), ("entities", ENTITIES), ("outcome", pa.string())])
    pq.write_table(pa.Table.from_pylist([row], schema), output / name)
    return name, row | {"entity_type": label}


def rows(output: Path, kind: TableFormat, without: str = "") -> list[dict[str, Any]]:
    """What the format's own library reads, in order."""
    if kind == "delta":
        found = pa.table(DeltaTable(str(output)).scan()).to_pylist()
    else:
        found = StaticTable.from_metadata(str(newest(output))).scan().to_arrow().to_pylist()
    kept = [{name: value for name, value in row.items() if name != without} for row in found]
    return sorted(kept, key=lambda row: (str(row["doc_id"]), str(row["entity_type"])))


def newest(output: Path) -> Path:
    """The metadata file that the hint names."""
    return output / f"_iceberg/metadata/v{(output / '_iceberg/metadata/version-hint.text').read_text()}.metadata.json"


def versions(output: Path, kind: TableFormat) -> int:
    """How many commits there were after the one that made the table."""
    return (
        DeltaTable(str(output)).version()
        if kind == "delta"
        else len(list((output / "_iceberg/metadata").glob("v*.json"))) - 1
    )


def holds(folder: Path, word: str) -> list[str]:
    """Files below a folder that a word is in: as it is, or in what Parquet and Avro have packed."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [str(file.relative_to(folder)) for file in files if word in _words_in(file)]


def _words_in(file: Path) -> str:
    words = file.read_bytes().decode("latin-1")
    if file.suffix == ".parquet":
        table = pq.read_table(file, partitioning=None)
        words += str(table.to_pylist()) + str(pq.read_metadata(file).to_dict())
    elif file.suffix == ".avro":
        with AvroFile[Any](PyArrowFileIO().new_input(str(file))) as records:
            words += "".join(f"{record} {[getattr(record, 'data_file', '')]}" for record in records)
    return words
