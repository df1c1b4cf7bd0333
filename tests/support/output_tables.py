"""Outputs that are tables too, as the libraries of their formats read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.table import StaticTable

from uniner_dist.storage.tables.commit import TableFormat


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
