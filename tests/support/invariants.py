"""The invariants of the data contract, checked on the files of a run and its output: one place for all tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.storage.filesystem import read_json
from uniner_dist.storage.place_layout import FLAT_MARKER, MARKER_FILE, MARKERS
from uniner_dist.storage.shards import read_prompts, read_shards


def read_annotations(output: str) -> list[dict[str, Any]]:
    """Every row of an output, partition columns as strings."""
    files = [path for path in sorted(Path(output).rglob("*.parquet")) if path.is_file()]
    names = dict.fromkeys(part.split("=")[0] for f in files for part in f.relative_to(output).parts if "=" in part)
    partitioning = pads.partitioning(pa.schema([(name, pa.string()) for name in names]), flavor="hive")
    rows: list[dict[str, Any]] = (
        pads.dataset(output, format="parquet", partitioning=partitioning).to_table().to_pylist()
    )
    return rows


def check_output(output: str, texts: Mapping[Any, str], labels: list[str], id_column: str = "doc_id") -> None:
    """Each document × label has one row, each mention stands where it says, nothing else is in the folder."""
    rows = read_annotations(output)
    cells = Counter((row[id_column], row["entity_type"]) for row in rows)
    assert cells == Counter({(doc_id, label): 1 for doc_id in texts for label in labels})
    for row in rows:
        check_row(row, texts[row[id_column]])
    check_files(output)


def check_row(row: Mapping[str, Any], text: str) -> None:
    """An empty list and a failure are never confused; offsets are code points of the document's text."""
    assert row["entities"] is not None
    assert row["outcome"] != "none" or not row["entities"]
    assert row["outcome"] != "found" or row["entities"]
    for entity in row["entities"]:
        if entity["match"] == "absent":
            assert entity["start"] is None
        else:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def check_files(output: str) -> None:
    """Only whole Parquet files with the same columns, the marker among them, and the log or metadata of a table."""
    schemas = set()
    for path in Path(output).rglob("*"):
        if {"_delta_log", "_iceberg"} & set(path.parts):  # of the table that may be kept over the output
            continue
        if not MARKERS.isdisjoint(path.parts):
            assert path.is_dir() or path.name in (MARKER_FILE, FLAT_MARKER), path
            if path.is_file():
                schemas.add(pq.read_schema(path).remove_metadata())
        elif path.is_file():
            assert path.suffix == ".parquet", path
            assert path.name.startswith("part-"), path
            schemas.add(pq.read_schema(path).remove_metadata())
        elif path.is_dir():
            assert "=" in path.name, path
            assert any(path.iterdir()), f"{path} is empty"
    assert len(schemas) <= 1
    for schema in schemas:
        written = {field.name for field in schema}
        assert {field.name for field in ANNOTATION_FIELDS} - {"entity_type"} <= written


def check_prompts(run: Run) -> dict[str, tuple[str, ...]]:
    """The shards hold what the manifest says; returns the shard of each passage (shard name → passage ids)."""
    manifest, shards = read_shards(run.layout).to_pylist(), {}
    asks = list(dict.fromkeys(entity_type.ask for entity_type in run.config.types))
    for entry in manifest:
        table = read_prompts(run.layout, entry["shard"])
        ids = table["passage_id"].to_pylist()[:: len(asks)]
        assert table["entity_type"].to_pylist() == asks * len(ids)
        assert table["passage_id"].to_pylist() == [passage_id for passage_id in ids for _ in asks]
        assert ids == sorted(set(ids))
        assert (entry["prompts"], entry["passages"]) == (table.num_rows, len(ids))
        assert len(list(Path(run.layout.prompts, f"shard={entry['shard']}").glob("*.parquet"))) == 1
        shards[entry["shard"]] = tuple(ids)
    everything = [passage_id for ids in shards.values() for passage_id in ids]
    assert len(everything) == len(set(everything))
    summary = read_json(run.layout.prompts_summary)
    assert summary["unique_passages"] == len(everything)
    assert summary["documents"] + sum(summary["rejects"].values()) == summary["rows"]
    return shards
