"""Somebody reads an output again and again while it is published: each read is of one version, or is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from tests.support.flaky import FlakyProxy
from uniner_dist.storage.commit import apply_change
from uniner_dist.storage.control_files import FolderChange
from uniner_dist.storage.filesystem import open_fs, write_bytes

IDS = ["a", "b", "c", "d"]
FOLDER = "entity_type=person"


def _version(number: int) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"doc_id": IDS, "version": [number] * len(IDS)}), buffer)
    return bytes(buffer.getvalue())


def _publish(output: str, staged: str, versions: int, begun: threading.Semaphore, done: threading.Event) -> None:
    """One version after the other, each while a read that has just begun goes on."""
    try:
        for number in range(1, versions + 1):
            begun.acquire(timeout=1200)
            add = {f"part-{number}.parquet": f"{staged}/{number}.parquet"}
            write_bytes(f"{staged}/{number}.parquet", _version(number))
            apply_change(
                output, FolderChange(folder=FOLDER, add=add, remove=(f"part-{number - 1}.parquet",)), f"{staged}/work"
            )
    finally:
        done.set()


def _read(output: str) -> list[dict[str, Any]] | None:
    """What is there; None where a file that was listed is gone, upon which readers read again."""
    fs, path = open_fs(output)
    fs.invalidate_cache()
    try:
        rows: list[dict[str, Any]] = (
            pads.dataset(path, filesystem=fs, format="parquet", partitioning="hive")
            .to_table(use_threads=False)
            .to_pylist()
        )
    except FileNotFoundError:
        return None
    return rows


def _read_on(output: str, staged: str, versions: int, check: Callable[[list[dict[str, Any]]], None]) -> set[int]:
    """Read until the last version is published; returns the versions that were seen."""
    write_bytes(f"{output}/{FOLDER}/part-0.parquet", _version(0))
    begun, done, seen = threading.Semaphore(0), threading.Event(), set[int]()
    publisher = threading.Thread(target=_publish, args=(output, staged, versions, begun, done))
    publisher.start()
    last = False
    while not last:
        last = done.is_set()
        begun.release()
        rows = _read(output)
        if rows is not None:
            check(rows)
            seen |= {row["version"] for row in rows}
    publisher.join()
    assert {row["version"] for row in rows or ()} == {versions}
    return seen


def test_on_a_local_disk_every_read_is_of_one_version(tmp_path: Path) -> None:
    def check(rows: list[dict[str, Any]]) -> None:
        assert sorted(row["doc_id"] for row in rows) == IDS
        assert len({row["version"] for row in rows}) == 1

    assert len(_read_on(f"{tmp_path}/out", f"{tmp_path}/staged", 100, check)) > 1


def test_on_object_storage_no_read_misses_a_document(s3: FlakyProxy, tmp_path: Path) -> None:
    def check(rows: list[dict[str, Any]]) -> None:
        assert {row["doc_id"] for row in rows} == set(IDS)
        versions = {row["version"] for row in rows}
        assert max(versions) - min(versions) <= 1
        assert len(rows) == len(IDS) * len(versions)

    assert len(_read_on("s3://bucket/out-of-readers", f"{tmp_path}/staged", 20, check)) > 1


@pytest.mark.parametrize("missing", ["the new file comes first", "the old file goes first"])
def test_a_reader_that_meets_no_file_is_noticed(tmp_path: Path, missing: str) -> None:
    """The check itself: a folder between two versions that is empty is no version."""
    output = f"{tmp_path}/out"
    write_bytes(f"{output}/{FOLDER}/part-0.parquet", _version(0))
    if missing == "the old file goes first":
        Path(f"{output}/{FOLDER}/part-0.parquet").unlink()
    rows = _read(output)
    assert bool(rows) == (missing == "the new file comes first")
