"""Kinds of Parquet that pyarrow reads and Spark's reader does not: its tasks read such files."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.foreign_parquet import write_old_lz4, write_unknown_logical_type
from uniner_dist.errors import ConfigError
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.footers import Trait
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot


@pytest.mark.parametrize("write", [write_old_lz4, write_unknown_logical_type])
def test_what_only_pyarrow_reads_is_read_by_tasks(tmp_path: Path, write: object) -> None:
    assert callable(write)
    values = write(tmp_path / "a.parquet")
    snapshot = take_snapshot(str(tmp_path), ["n"])
    assert snapshot.traits == (Trait.ENCODING,)
    assert not plan_reading(snapshot, ["n"]).groups[0].by_spark
    assert pa.Table.from_batches(rows_of(snapshot, ["n"]))["n"].to_pylist() == values


def test_plain_files_are_read_by_spark(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1, 2], "l": [[1], []], "s": [{"metadata": "x"}] * 2}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": [3], "l": [[4]], "s": [{"metadata": "y"}]}), tmp_path / "b.pq", compression="lz4")
    assert take_snapshot(str(tmp_path), ["n", "l", "s"]).traits == (Trait.NONE, Trait.NONE)


def test_variants_are_refused_by_name(tmp_path: Path) -> None:
    file = str(tmp_path / "a.parquet")
    duckdb.sql(f"COPY (SELECT 1 AS n, 42::VARIANT AS v) TO '{file}' (FORMAT parquet)")
    snapshot = take_snapshot(file, ["n", "v"])
    assert plan_reading(snapshot, ["n"]).groups[0].by_spark
    with pytest.raises(ConfigError, match=r"v.*variants are a type that pyarrow does not read; write them as JSON"):
        plan_reading(snapshot, ["n", "v"])
