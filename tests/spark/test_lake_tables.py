"""Tables through Spark: its own reader, its tasks and pyiceberg in its tasks give the same rows as the libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from tests.support import lake_tables
from tests.support.answering import Corpus, Rows, answer, documents
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.planned import read_planned
from uniner_dist.spark.stage import stage
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot

pytestmark = pytest.mark.spark


def read(spark: SparkSession, path: str, names: list[str]) -> tuple[list[tuple[Any, ...]], list[bool]]:
    """Rows, and which groups of files Spark reads itself."""
    snapshot = take_snapshot(path)
    reading = plan_reading(snapshot, names)
    with stage(spark, "read"):
        found = read_planned(spark, snapshot, reading, names).collect()
    assert len({(row["file"], row["row"]) for row in found}) == len(found)
    return sorted(tuple(row)[:-2] for row in found), [group.by_spark for group in reading.groups]


def expected(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in table.to_pylist())


def test_spark_and_its_tasks_read_a_delta_table_as_deltalake(spark: SparkSession, tmp_path: Path) -> None:
    names = ["doc_id", "text", "day", "n"]
    rows = lake_tables.rows(*range(20))
    rows = rows.append_column("day", pa.array(["x y", "ü/%"] * 10)).append_column("n", pa.array([1, 2] * 10))
    path = str(tmp_path / "t")
    write_deltalake(path, rows, partition_by=["day"])
    DeltaTable(path).delete("doc_id = '3'")
    assert read(spark, path, names) == (expected(pa.table(DeltaTable(path).scan()), names), [True])
    plain = lake_tables.delta(tmp_path / "p", *range(20))
    lake_tables.mark_deleted(plain, [0, 7, 19])
    names = ["doc_id", "text"]
    assert read(spark, plain, names) == (expected(pa.table(DeltaTable(plain).scan()), names), [False])


def test_tasks_read_an_iceberg_table_as_pyiceberg(spark: SparkSession, tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1, 2, 3, 4)
    lake_tables.delete_by_file(table, [1])
    with table.update_schema() as schema:
        schema.rename_column("text", "body")
    names = ["doc_id", "body"]
    assert read(spark, table.metadata_location, names) == (expected(table.scan().to_arrow(), names), [False])


def _table(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist([{"doc_id": key, **row} for key, row in rows.items()])


def test_a_run_keeps_its_version_and_the_next_asks_what_changed(corpus: Corpus) -> None:
    path = str(corpus.folder / "corpus")
    write_deltalake(path, _table(documents(range(12))), partition_by=["domain"])
    crashed = corpus.open()
    write_prompts(corpus.spark, crashed)
    kept = answer(crashed, shards=1)
    DeltaTable(path).delete("doc_id = 'd003'")
    write_deltalake(path, _table(documents(range(20, 22))), mode="append")
    resumed = corpus.open()
    assert (resumed.id, resumed.corpus_version) == (crashed.id, "0")
    first = corpus.run()
    assert len(first + kept) == 24
    assert {row["doc_id"] for row in corpus.rows} == set(documents(range(12)))
    marker = read_marker(resumed.config.output.path)
    assert marker is not None
    assert marker.runs[resumed.id].corpus_version == "Delta version 0"

    received = corpus.run()
    assert {text for text, _ in received} == {row["text"] for row in documents(range(20, 22)).values()}
    assert corpus.rows == corpus.full()[0]
    assert "d003" not in {row["doc_id"] for row in corpus.rows}
    DeltaTable(path).optimize.compact()
    assert not corpus.run(), "compaction changes no text"
