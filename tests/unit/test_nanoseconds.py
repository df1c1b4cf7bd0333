"""Timestamps that microseconds cannot hold are found before Spark starts, and no others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist.errors import ConfigError
from uniner_dist.storage.footers import Trait
from uniner_dist.storage.snapshot import take_snapshot

ODD, EVEN = [1000, 2001, 3000, None], [1000, 2000, 3000, None]
NS = pa.timestamp("ns")


def write(folder: Path, values: pa.Array, name: str = "at", **options: Any) -> str:
    table = pa.table({"id": pa.array(range(len(values))), name: values})
    pq.write_table(table, folder / "c.parquet", **options)
    return str(folder / "c.parquet")


def nested(values: list[int | None]) -> pa.Array:
    kind = pa.map_(pa.string(), pa.struct([("n", pa.int8()), ("seen", pa.list_(NS))]))
    return pa.array([[("k", {"n": 1, "seen": values})], None, [("k", None)], []], kind)


@pytest.mark.parametrize(
    "options",
    [{}, {"write_statistics": False}, {"use_deprecated_int96_timestamps": True}, {"row_group_size": 1}],
    ids=["between", "unknown", "int96", "known"],
)
@pytest.mark.parametrize("shape", ["flat", "zone", "nested"])
def test_digits_below_a_microsecond_are_found(tmp_path: Path, options: dict[str, Any], shape: str) -> None:
    make = {
        "flat": lambda values: pa.array(values, NS),
        "zone": lambda values: pa.array(values, pa.timestamp("ns", "Europe/Berlin")),
        "nested": nested,
    }[shape]
    with pytest.raises(ConfigError, match=r"c\.parquet: column at.* has timestamps that are not whole microseconds"):
        take_snapshot(write(tmp_path, make(ODD), **options), ["id", "at"])
    assert take_snapshot(write(tmp_path, make(EVEN), **options), ["id", "at"]).rows == (4,)


def test_columns_nobody_asked_for_are_not_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, pa.array(ODD, NS))
    assert take_snapshot(path, ["id"]).rows == take_snapshot(path).rows == (4,)


def test_int96_beyond_the_reach_of_nanoseconds_is_read(tmp_path: Path) -> None:
    values = pa.array([datetime(1, 1, 1, 0, 0, 0, 7), datetime(9999, 12, 31, 23, 59, 59, 999999)])
    path = write(tmp_path, values, use_deprecated_int96_timestamps=True)
    assert take_snapshot(path, ["at"]).rows == (2,)


def test_a_dot_in_a_name_hides_no_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"column a\.b has timestamps"):
        take_snapshot(write(tmp_path, pa.array(ODD, NS), "a.b"), ["id", "a.b"])
    table = pa.table({"a.b": ["x"], "a": [{"b": 1}]})
    pq.write_table(table, tmp_path / "c.parquet", compression={"a.b": "brotli", "a.b.": "zstd"})
    assert take_snapshot(str(tmp_path / "c.parquet"), ["a.b"]).traits == (Trait.ENCODING,)


def test_files_of_other_file_systems_are_looked_at_too(tmp_path: Path) -> None:
    content = Path(write(tmp_path, pa.array(ODD, NS))).read_bytes()
    fsspec.filesystem("memory").pipe("/nanoseconds/c.parquet", content)
    with pytest.raises(ConfigError, match="not whole microseconds"):
        take_snapshot("memory://nanoseconds/c.parquet", ["at"])
