"""Rows of Parquet files by their position."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist.storage.parquet_rows import erase, find_rows, without_rows
from uniner_dist.storage.retries import StorageError


def test_rows_are_cut_out_of_a_file_without_touching_the_rest(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": range(10), "y": [[i] for i in range(10)]})
    path = tmp_path / "a.parquet"
    table.to_parquet(path, row_group_size=3)
    data, kept = without_rows(path.read_bytes(), [0, 4, 9])
    (tmp_path / "b.parquet").write_bytes(data)
    assert kept == 7
    assert pd.read_parquet(tmp_path / "b.parquet")["x"].tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert json.loads(pq.read_schema(tmp_path / "b.parquet").metadata[b"pandas"])


@pytest.mark.parametrize(
    ("ids", "wanted", "expected"),
    [
        (pa.array(["a", "b", None, "a", "c"]), ["a", "x"], [0, 3]),
        (pa.array([1, 2, None, 1, 3], pa.int32()), ["1", "not a number", "99999999999"], [0, 3]),
        (pa.array([1, 2, 3, 1, 3]), ["01", "1 ", "+2", "0_3"], []),
        (pa.array(["1", "01", "1", "2", "3"]), ["01"], [1]),
    ],
)
def test_rows_are_found_by_strings_and_by_integers(
    tmp_path: Path, ids: Any, wanted: list[str], expected: list[int]
) -> None:
    struct = pa.StructArray.from_arrays([ids, pa.array(range(5))], ["id.of doc", "n"])
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id.of doc": ids, "document": struct}), path, row_group_size=2)
    for column in (["id.of doc"], ["document", "id.of doc"]):
        total, rows = find_rows(path, column, pa.array(wanted))
        assert (total, rows.tolist()) == (5, expected)


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StorageError, match=r"a\.parquet: is damaged or not ours"):
        find_rows(str(path), ["x"], pa.array([1]))


def test_erased_rows_leave_no_checksum_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), path)
    (tmp_path / ".part.parquet.crc").write_bytes(b"x")
    assert erase(str(path), np.array([0])) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["part.parquet"]
    assert erase(str(path), np.array([0]), keep_empty=True) == 0
    assert pq.read_table(path).num_rows == 0
    assert erase(str(path), np.array([], dtype=np.int64)) == 0
    assert not path.exists()
