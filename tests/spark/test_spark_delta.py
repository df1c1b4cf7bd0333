"""Delta tables in one of Spark's catalogs, by Spark's own connector: as a corpus, and as an output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from tests.support.answering import Corpus, Rows, answer, documents
from tests.support.output_tables import write
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.maintenance.erase import erase_documents
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.catalog_output import output_in_catalog, table_problems
from uniner_dist.storage.filesystem import read_bytes
from uniner_dist.storage.marker import swap_marker
from uniner_dist.storage.tables.commit import commit_files, commit_to
from uniner_dist.storage.tables.output_table import Change, NewFile

JARS = "DELTA_JARS"
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(JARS not in os.environ, reason=f"{JARS} names no connector of Spark's for Delta"),
]


class Lake:
    """A schema in the catalog that every session has, and the tables in it."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.name = f"ns_{folder.parent.name}_{folder.parent.parent.name}".replace("-", "_")
        self.sql(f"CREATE NAMESPACE spark_catalog.LAKE LOCATION 'file://{folder}'")

    def sql(self, words: str) -> list[Any]:
        """Run a statement, in which LAKE is the schema."""
        return self.spark.sql(words.replace("LAKE", self.name)).collect()

    def insert(self, rows: Rows) -> None:
        """Append documents to the table `docs`."""
        data = [(doc_id, row["text"], row["domain"]) for doc_id, row in rows.items()]
        self.spark.createDataFrame(data, ["doc_id", "text", "domain"]).writeTo(f"{self.name}.docs").append()

    def rows(self, table: str, *order: str) -> list[dict[str, Any]]:
        """What Spark's connector reads."""
        found = [row.asDict(recursive=True) for row in self.sql(f"SELECT * FROM spark_catalog.LAKE.{table}")]
        return sorted(found, key=lambda row: [str(row[name]) for name in order])

    def place(self, table: str) -> Path:
        """The table's folder."""
        said = {row[0]: row[1] for row in self.sql(f"DESCRIBE TABLE EXTENDED spark_catalog.LAKE.{table}")}
        return Path("/" + said["Location"].removeprefix("file:").lstrip("/"))


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path / "lake")


def published(lake: Lake) -> list[dict[str, Any]]:
    """Rows of the output's table, as `Corpus.rows` has those of its files: by Spark and by deltalake."""
    by_spark = lake.rows("found", "doc_id", "entity_type")
    by_library = pa.table(DeltaTable(str(lake.place("found"))).scan()).to_pylist()
    assert by_spark == sorted(by_library, key=lambda row: (row["doc_id"], row["entity_type"]))
    return [{name: value for name, value in row.items() if name != "run_id"} for row in by_spark]


def commits(output: Path) -> list[tuple[str, int] | None]:
    """Who made each commit after the first, which made the table, and how often it had published."""
    found = []
    for log in sorted((output / "_delta_log").glob("*.json"))[1:]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        made = [(line["txn"]["appId"], line["txn"]["version"]) for line in lines if "txn" in line]
        assert len(made) < 2
        found.append(made[0] if made else None)
    return found


def test_an_output_in_sparks_catalog_is_one_commit_a_publication(
    corpus: Corpus, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"output.format": "delta", "output.table": f"table:spark_catalog.{lake.name}.found"}
    output = corpus.folder / "annotations"
    corpus.write(documents(range(8)))
    first = corpus.open(**options)
    write_prompts(corpus.spark, first)
    answer(first)
    write_annotations(corpus.spark, first)
    swaps: list[str] = []

    def die_behind_the_commit(*arguments: Any) -> Any:
        swaps.append("")
        if len(swaps) == 2:
            raise KeyboardInterrupt
        return swap_marker(*arguments)

    monkeypatch.setattr("uniner_dist.annotations.journal.swap_marker", die_behind_the_commit)
    with pytest.raises(KeyboardInterrupt):
        publish(corpus.spark, first)
    made: list[tuple[str, int] | None] = [(f"uniner-dist {first.id}", 1)]
    assert commits(output) == made
    assert lake.place("found") == output
    monkeypatch.undo()
    for _ in range(2):
        publish(corpus.spark, first)
        assert commits(output) == made, "what is committed is not committed again"
    assert published(lake) == corpus.rows

    corpus.write(documents(range(2, 10), "Rosa"))
    second = corpus.open(**options)
    corpus.run(**options)
    made.append((f"uniner-dist {second.id}", 1))
    assert commits(output) == made
    assert published(lake) == corpus.rows == corpus.full()[0]

    lake.sql("DROP TABLE spark_catalog.LAKE.found")
    assert erase_documents(second.layout.workdir, ["d003"]).annotations == 2
    made.append(None)
    assert commits(output) == made
    assert published(lake) == corpus.rows, "the name is in the catalog again"
    assert "d003" not in {row["doc_id"] for row in published(lake)}
    held = [file for place in (output, lake.folder) for file in place.rglob("*")]
    assert not [file for file in held if file.is_file() and b"d003" in read_bytes(str(file))]

    for key, wrong in (("output.table", None), ("output.table", f"table:spark_catalog.{lake.name}.other")):
        with pytest.raises(ConfigError, match=rf"was begun with its table table:spark_catalog\.{lake.name}\.found, "):
            corpus.open(**options | {key: wrong})
    commit_files(str(output), "delta", second.partition_by, Change((), (), None))
    assert commits(output) == made, "deltalake sees nothing that is left to do"
    lake.sql("DELETE FROM spark_catalog.LAKE.found WHERE doc_id = 'd004'")
    corpus.write(documents(range(2, 11), "Rosa"))
    with pytest.raises(StageError, match="the table was changed by another program"):
        corpus.run(**options)


def test_a_table_that_cannot_be_written_is_refused_before_work(corpus: Corpus, lake: Lake, tmp_path: Path) -> None:
    corpus.write(documents(range(2)))
    lake.sql("CREATE TABLE spark_catalog.LAKE.theirs (doc_id STRING) USING delta")
    lake.sql("CREATE TABLE spark_catalog.LAKE.plain (doc_id STRING) USING parquet")
    lake.sql("CREATE VIEW spark_catalog.LAKE.seen AS SELECT 1 AS x")
    corpus.spark.conf.set(
        "spark.sql.catalog.other", "org.apache.spark.sql.execution.datasources.v2.jdbc.JDBCTableCatalog"
    )
    corpus.spark.conf.set("spark.sql.catalog.other.url", "jdbc:derby:memory:x;create=true")
    corpus.spark.conf.set("spark.sql.catalog.other.driver", "org.apache.derby.jdbc.EmbeddedDriver")
    name = f"spark_catalog.{lake.name}"
    told = {
        f"{name}.theirs": r"is there already, and over another folder \(file:/.*/lake/theirs\); choose another name",
        f"{name}.plain": "is there already, and not a Delta table; choose another name",
        f"{name}.seen": "is there already, and not a Delta table; choose another name",
        "spark_catalog.nowhere.found": "the catalog has no schema `spark_catalog`.`nowhere`; make it: CREATE NAMESPACE",
        "other.ns.found": "is in no catalog of Delta's; set spark.sql.catalog.other=org.apache.spark.sql.delta",
        "elsewhere.ns.found": "Spark's settings do not say how to reach the catalog 'elsewhere'",
    }
    for table, words in told.items():
        with pytest.raises(ConfigError, match=words):
            corpus.open(**{"output.format": "delta", "output.table": f"table:{table}"})
    assert not (corpus.folder / "annotations").exists()
    assert lake.rows("theirs") == []


def test_columns_that_delta_does_not_take_are_known_before(lake: Lake, tmp_path: Path) -> None:
    names = {"good": pa.int16(), "a b": pa.string(), "waited": pa.duration("us"), "at": pa.timestamp("us")}
    columns = [pa.field(name, kind) for name, kind in names.items()]
    name, output = f"table:spark_catalog.{lake.name}.found", str(tmp_path / "annotations")
    assert table_problems("delta", name, output, SparkConfig(), columns) == [
        f"output.table={name}: a Delta table cannot hold the column {unfit}; leave it out, or write Parquet"
        for unfit in ("a b (string)", "waited (duration[us])")
    ]
    assert not Path(output).exists()


@pytest.mark.parametrize("first", ["deltalake", "spark"])
def test_both_ways_keep_one_table(lake: Lake, tmp_path: Path, first: str) -> None:
    output, name = tmp_path / "out put", f"table:spark_catalog.{lake.name}.found"

    def commit(by: str, change: Change) -> None:
        if by == "deltalake":
            commit_files(str(output), "delta", ["entity_type"], change)
            return
        with output_in_catalog("delta", name, str(output), ["entity_type"], SparkConfig()) as open_table:
            commit_to(open_table, str(output), change)

    second = {"deltalake": "spark", "spark": "deltalake"}[first]
    labels: tuple[str | None, ...] = (
        "person",
        "".join(map(chr, range(32, 127))),
        "a/b: ü %=&+?",
        'it\'s 100% \\ "q"',
        None,
    )
    written = dict(write(output, label, number) for number, label in enumerate(labels))
    one, two = (Change(written, (), ("uniner-dist r", 1)), Change((), list(written)[:-1], ("uniner-dist r", 2)))
    for by, change in ((first, one), (second, one), (second, two), (first, two)):
        commit(by, change)
    assert commits(output) == [("uniner-dist r", 1), ("uniner-dist r", 2)]
    commit("spark", two)
    assert published(lake) == list(written.values())[-1:]
    assert DeltaTable(str(output)).transaction_version("uniner-dist r") == 2


def test_a_commit_between_reading_and_writing_the_table_stops_ours(lake: Lake, tmp_path: Path) -> None:
    output, name = tmp_path / "annotations", f"table:spark_catalog.{lake.name}.found"
    theirs, _ = write(output, "person", 1)
    with output_in_catalog("delta", name, str(output), ["entity_type"], SparkConfig()) as open_table:
        commit_to(open_table, str(output), Change([theirs], (), ("uniner-dist r", 1)))
        for others in (
            "INSERT INTO spark_catalog.LAKE.found SELECT * FROM spark_catalog.LAKE.found",
            "DELETE FROM spark_catalog.LAKE.found",
        ):
            table = open_table(None)
            assert table is not None
            lake.sql(others)
            with pytest.raises(StageError, match=r"the commit of the Delta table failed: .*Concurrent"):
                table.commit([NewFile("entity_type=person/part-000000000002-0.parquet", 1, 1)], [theirs], None)


@pytest.mark.parametrize("mapping", ["none", "name", "id"])
def test_a_corpus_in_sparks_catalog_keeps_its_version(corpus: Corpus, lake: Lake, mapping: str) -> None:
    lake.sql(
        "CREATE TABLE spark_catalog.LAKE.docs (doc_id STRING, said STRING, domain STRING) USING delta PARTITIONED BY "
        f"(domain) TBLPROPERTIES ('delta.enableDeletionVectors'='true', 'delta.columnMapping.mode'='{mapping}')"
        if mapping != "none"
        else "CREATE TABLE spark_catalog.LAKE.docs (doc_id STRING, text STRING, domain STRING) USING delta PARTITIONED "
        "BY (domain) TBLPROPERTIES ('delta.enableDeletionVectors'='true')"
    )
    if mapping != "none":
        lake.sql("ALTER TABLE spark_catalog.LAKE.docs RENAME COLUMN said TO text")
    lake.insert(documents(range(12)))
    options = {"corpus.path": f"table:spark_catalog.{lake.name}.docs"}
    crashed = corpus.open(**options)
    write_prompts(corpus.spark, crashed)
    kept = answer(crashed, shards=1)
    lake.sql("DELETE FROM spark_catalog.LAKE.docs WHERE doc_id = 'd003'")
    lake.sql("UPDATE spark_catalog.LAKE.docs SET text = 'Zoe.' WHERE doc_id = 'd004'")
    lake.insert(documents(range(20, 22)))
    resumed = corpus.open(**options)
    assert (resumed.id, resumed.corpus_version) == (crashed.id, crashed.corpus_version)
    assert len(corpus.run(**options) + kept) == 24
    assert {row["doc_id"] for row in corpus.rows} == set(documents(range(12)))

    received = corpus.run(**options)
    assert {text for text, _ in received} == {"Zoe.", *(row["text"] for row in documents(range(20, 22)).values())}
    assert corpus.rows == corpus.full(**options)[0]
    assert {row["doc_id"] for row in corpus.rows} == {row["doc_id"] for row in lake.rows("docs")}
    cut = [line for log in (lake.place("docs") / "_delta_log").glob("*.json") for line in log.read_text().splitlines()]
    assert any('"deletionVector"' in line for line in cut if '"add"' in line)

    before = corpus.full(**options | {"corpus.version": crashed.corpus_version})[0]
    assert {row["doc_id"] for row in before} == set(documents(range(12)))


def test_what_spark_does_to_a_corpus_is_asked_and_nothing_else(corpus: Corpus, lake: Lake) -> None:
    table = "spark_catalog.LAKE.docs"
    lake.sql(f"CREATE TABLE {table} (doc_id STRING, text STRING, domain STRING) USING delta")
    lake.insert(documents(range(6)))
    options = {"corpus.path": f"table:spark_catalog.{lake.name}.docs"}
    corpus.run(**options)
    news = "SELECT * FROM VALUES ('d001', 'Zoe.'), ('d100', 'Ida.') AS t(doc_id, text)"
    changes: list[tuple[str, set[str]]] = [
        (
            f"MERGE INTO {table} AS old USING ({news}) AS new ON old.doc_id = new.doc_id WHEN MATCHED THEN UPDATE SET "
            "text = new.text WHEN NOT MATCHED THEN INSERT (doc_id, text, domain) VALUES (doc_id, text, 'x')",
            {"Zoe.", "Ida."},
        ),
        (f"ALTER TABLE {table} ADD COLUMN added INT", set()),
        (f"INSERT INTO {table} VALUES ('d101', 'Lea.', 'x', 1)", {"Lea."}),
        (f"OPTIMIZE {table}", set()),
        (f"INSERT OVERWRITE {table} SELECT * FROM {table} WHERE doc_id < 'd005'", set()),
    ]
    for statement, asked in changes:
        lake.sql(statement)
        assert {text for text, _ in corpus.run(**options)} == asked, statement
        assert corpus.rows == corpus.full(**options)[0]
        by_library = pa.table(DeltaTable(str(lake.place("docs"))).scan()).to_pylist()
        assert {row["doc_id"] for row in corpus.rows} == {row["doc_id"] for row in by_library}, statement
