"""Tables through Spark: its own reader, its tasks and pyiceberg in its tasks give the same rows as the libraries."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from tests.support import lake_tables, output_tables
from tests.support.answering import Corpus, Rows, answer, documents
from uniner_dist.annotations.publication import publish
from uniner_dist.errors import ConfigError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.catalog import table_location
from uniner_dist.spark.planned import read_planned
from uniner_dist.spark.stage import stage
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot
from uniner_dist.storage.tables.commit import TableFormat

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


@pytest.fixture
def in_catalog(spark: SparkSession, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes tables in Spark's own catalog, of rows with a column `day` or of a folder; gives the corpus's name."""
    made: list[str] = []

    def make(name: str, using: str = "parquet", partition_by: str = "", folder: str = "") -> str:
        made.append(name)
        place = f"LOCATION 'file://{folder or tmp_path / name}'"
        columns = "" if folder else "(doc_id STRING, text STRING, domain STRING)"
        spark.sql(f"CREATE TABLE `{name}` {columns} USING {using} {partition_by} {place}")
        return f"table:spark_catalog.default.`{name}`"

    yield make
    for name in made:
        spark.sql(f"DROP TABLE IF EXISTS `{name}`")


def test_a_name_in_sparks_catalog_is_the_table_that_it_has(
    spark: SparkSession, tmp_path: Path, in_catalog: Callable[..., str]
) -> None:
    name = in_catalog("day_log", partition_by="PARTITIONED BY (domain)")
    spark.sql("INSERT INTO `day_log` VALUES ('1', 'Ada met Babbage.', 'ai'), ('2', 'Eve.', NULL)")
    assert table_location(name) == f"{tmp_path}/day_log"
    found, _ = read(spark, table_location(name), ["doc_id", "text", "domain"])
    assert found == sorted(tuple(row) for row in spark.table("`day_log`").collect())
    (tmp_path / "day_log/domain=forgotten").mkdir()
    shutil.copy(next((tmp_path / "day_log/domain=ai").glob("*.parquet")), tmp_path / "day_log/domain=forgotten")
    with pytest.raises(ConfigError, match=r"partitions are not the folders of .*domain=forgotten"):
        table_location(name)


def test_what_sparks_catalog_has_and_is_not_read_is_refused(
    spark: SparkSession, in_catalog: Callable[..., str]
) -> None:
    with pytest.raises(ConfigError, match=r"is a table of csv, which is not read here"):
        table_location(in_catalog("lines", using="csv"))
    with pytest.raises(ConfigError, match="Spark's catalog cannot describe it"):
        table_location("table:spark_catalog.default.nowhere")
    spark.sql("CREATE VIEW looks AS SELECT * FROM lines")
    with pytest.raises(ConfigError, match="is a view"):
        table_location("table:spark_catalog.default.looks")
    spark.sql("DROP VIEW looks")
    assert table_location("table:elsewhere.default.t") == "table:elsewhere.default.t", "is for pyiceberg to know"


@pytest.mark.slow
def test_a_run_over_a_name_in_sparks_catalog_sees_what_changed(
    spark: SparkSession, corpus: Corpus, in_catalog: Callable[..., str]
) -> None:
    corpus.write(documents(range(8)))
    name = in_catalog("docs", folder=str(corpus.folder / "corpus"))
    spark.sql("MSCK REPAIR TABLE docs")
    assert sum(corpus.run(**{"corpus.path": name}).values()) == 16
    corpus.write(documents(range(2, 9)))
    received = corpus.run(**{"corpus.path": name})
    assert {text for text, _ in received} == {row["text"] for row in documents(range(8, 9)).values()}
    assert corpus.rows == corpus.full()[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_an_output_as_a_table_is_one_commit_a_publication(corpus: Corpus, kind: TableFormat) -> None:
    options = {"output.format": kind}
    corpus.write(documents(range(8)))
    corpus.run(**options)
    path = corpus.folder / "annotations"
    assert output_tables.rows(path, kind, without="run_id") == corpus.rows
    assert output_tables.versions(path, kind) == 1

    corpus.write(documents(range(2, 10), "Rosa"))
    run = corpus.open(**options)
    corpus.run(**options)
    assert output_tables.rows(path, kind, without="run_id") == corpus.rows == corpus.full()[0]
    publish(corpus.spark, run)
    assert output_tables.versions(path, kind) == 2, "what is published changes nothing when it is started again"
    with pytest.raises(ConfigError, match=rf"was begun with output\.format={kind}"):
        corpus.open()
