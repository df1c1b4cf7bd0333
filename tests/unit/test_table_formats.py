"""Folders of Delta, Iceberg and Hudi tables are refused, from wherever one points at their files."""

from __future__ import annotations

import gzip
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist.errors import ConfigError
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.snapshot import take_snapshot

ICEBERG = b'{"format-version":2,"table-uuid":"9c12d441","location":"file:///t"}'


def write(path: Path, data: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def table(folder: Path, marker: str, content: bytes = b"{}") -> None:
    """Two data files, one of them below a partition folder, and what marks the folder as a table."""
    for name in ("data/a.parquet", "data/day=1/b.parquet"):
        write(folder / name)
        pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"]}), folder / name)
    write(folder / marker, content)


@pytest.mark.parametrize(
    ("name", "marker", "content"),
    [
        ("Delta", "_delta_log/00000000000000000000.json", b"{}"),
        ("Hudi", ".hoodie/hoodie.properties", b""),
        ("Hudi", "data/.hoodie_partition_metadata", b""),
        ("Iceberg", "metadata/v1.metadata.json", ICEBERG),
        ("Iceberg", "metadata/00000-4.gz.metadata.json", gzip.compress(ICEBERG, mtime=0)),
    ],
)
@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_table_is_refused_from_wherever_one_points(
    tmp_path: Path, name: str, marker: str, content: bytes, scheme: str
) -> None:
    table(tmp_path / "house/t", marker, content)
    root = str(tmp_path / "house")
    if scheme:
        fsspec.filesystem("memory").put(root, root, recursive=True)
    below = ("", "/t", "/t/data", "/t/data/a.parquet", "/t/data/day=1", "/*", "/*/*", "/*/data", "/**/*.parquet")
    for path in (*below, "/t/*/*.parquet"):
        with pytest.raises(ConfigError, match=f"house/t(/data)? is the folder of an? {name} table"):
            list_corpus(scheme + root + path)


def test_a_table_elsewhere_in_the_house_refuses_nobody(tmp_path: Path) -> None:
    table(tmp_path / "t", "_delta_log/0.json")
    table(tmp_path / "plain", "metadata/about.metadata.json", b'{"license": "CC0"}')
    table(tmp_path / "other", "metadata/notes.txt")
    for path in ("plain/data/*.parquet", "other/data/day=1", "[op]*/data/*.parquet"):
        assert take_snapshot(str(tmp_path / path)).files


def test_a_link_into_a_table_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "t", "_delta_log/0.json")
    (tmp_path / "corpus").symlink_to(tmp_path / "t/data")
    with pytest.raises(ConfigError, match="Delta table"):
        take_snapshot(str(tmp_path / "corpus"))
