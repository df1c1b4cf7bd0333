"""Datasets read and written by Spark's tasks themselves equal those of Spark's own connector."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from uniner_dist.errors import UninerError
from uniner_dist.spark import datasets as tables
from uniner_dist.spark.stage import stage
from uniner_dist.storage.filesystem import find_files

pytestmark = pytest.mark.spark

VALUES = ["plain", "a/b", "x=y", "50%", "ä ö", "", "sp ace", "q?*[1]{2}^", 'say "hi"', "tab\t", "c:\\d", "#'"]
DAYS = [datetime.date(2026, 1, 1), None]


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    """Two rows for each pair of odd folder values, with nested columns."""
    data = [
        (f"{i}-{j}-{k}", value, day, [{"text": f"t{i}", "start": k}] if i % 2 else [], None if k else 1.5)
        for i, value in enumerate(VALUES)
        for j, day in enumerate(DAYS)
        for k in range(2)
    ]
    schema = "id string, part string, day date, entities array<struct<text:string,start:int>>, score float"
    return spark.createDataFrame(data, schema).repartition(3).sortWithinPartitions("part", "day", "id")


def without_connectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "connector_path", lambda spark, path: None)


def listed(rows: DataFrame) -> list[dict[str, Any]]:
    return sorted((row.asDict(recursive=True) for row in rows.collect()), key=lambda row: row["id"])


def test_tasks_write_the_folders_and_rows_that_spark_writes(
    rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native, own = str(tmp_path / "native"), str(tmp_path / "own")
    tables.write_table(rows, native, ["part", "day"])
    without_connectors(monkeypatch)
    tables.write_table(rows, own, ["part", "day"])
    folders = [{name.rpartition("/")[0] for name in find_files(path, ".parquet")} for path in (native, own)]
    assert folders[0] == folders[1]
    assert len(folders[0]) == len(VALUES) * len(DAYS)
    spark = rows.sparkSession
    for path in (native, own):
        monkeypatch.undo()
        by_spark = listed(tables.read_table(spark, path, rows.schema))
        without_connectors(monkeypatch)
        assert listed(tables.read_table(spark, path, rows.schema)) == by_spark
        assert len(by_spark) == rows.count()


def test_a_table_that_is_written_again_has_the_same_content(
    rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_connectors(monkeypatch)
    path = str(tmp_path / "own")
    rows = rows.coalesce(1).sortWithinPartitions("day", "id")
    tables.write_table(rows, path, ["day"], max_records=7)
    first = {Path(path, name).read_bytes() for name in find_files(path)}
    tables.write_table(rows, path, ["day"], max_records=7)
    assert {Path(path, name).read_bytes() for name in find_files(path)} == first
    sizes = [pq.read_metadata(Path(path, name)).num_rows for name in find_files(path)]
    assert max(sizes) == 7
    assert sum(sizes) == rows.count()


def test_rows_are_named_by_file_and_place(rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_connectors(monkeypatch)
    path = str(tmp_path / "own")
    tables.write_table(rows, path)
    read = tables.read_table(rows.sparkSession, path, location=True)
    for row in read.collect():
        assert pq.read_table(row["file"]).slice(row["row"], 1)["id"].to_pylist() == [row["id"]]


def test_a_column_that_a_file_lacks_is_null_and_other_types_are_cast(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_connectors(monkeypatch)
    pq.write_table(pa.table({"id": ["a"], "n": pa.array([1], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": pa.array(["b"]).dictionary_encode()}), tmp_path / "b.parquet")
    read = tables.read_table(spark, str(tmp_path), spark.createDataFrame([], "id string, n bigint").schema)
    assert listed(read) == [{"id": "a", "n": 1}, {"id": "b", "n": None}]


def test_an_unreadable_file_is_named(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_connectors(monkeypatch)
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"no parquet at all")
    with (
        pytest.raises(UninerError, match=r"b\.parquet cannot be read \(.+\): it is damaged, or"),
        stage(spark, "test"),
    ):
        tables.read_table(spark, str(tmp_path)).count()


def test_pyarrow_reads_what_tasks_wrote(rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_connectors(monkeypatch)
    path = str(tmp_path / "own")
    tables.write_table(rows, path, ["part"])
    assert pads.dataset(path, partitioning="hive").count_rows() == rows.count()


def test_spark_has_no_connector_for_s3_when_pip_installed_it(spark: SparkSession, tmp_path: Path) -> None:
    assert tables.connector_path(spark, "s3://bucket/x") is None
    assert tables.connector_path(spark, str(tmp_path)) == str(tmp_path)
    assert tables.connector_path(spark, "hdfs://namenode/x") == "hdfs://namenode/x"


def test_rows_kept_on_the_way_are_the_rows_that_went_by(
    rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark, path = rows.sparkSession, str(tmp_path / "kept")
    passed = listed(tables.kept_in_arrow(rows, twice, rows.schema, path))
    assert len(passed) == 2 * rows.count()
    tables.count_kept(path)
    assert listed(tables.read_table(spark, path, rows.schema)) == passed
    kept = tables.kept_in_arrow(rows, twice, rows.schema, path)
    assert [listed(kept), listed(kept)] == [passed, passed]
    both = find_files(path, ".parquet")
    tables.count_kept(path)
    assert listed(tables.read_table(spark, path, rows.schema)) == passed, "of two attempts of each task one counts"
    assert 2 * len(find_files(path, ".parquet")) == len(both) - 1
    assert listed(tables.kept_in_arrow(rows.where("id = ''"), twice, rows.schema, path)) == []
    tables.count_kept(path)
    assert listed(tables.read_table(spark, path, rows.schema)) == []


def twice(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        yield batch
