"""Iceberg tables in one of Spark's catalogs, by Spark's own connector: as a corpus, and as an output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import StaticTable
from pyspark.sql import SparkSession

from tests.support.answering import Corpus, Rows, answer, documents
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.maintenance.erase import erase_documents
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.storage.filesystem import read_bytes
from uniner_dist.storage.marker import swap_marker

JARS = "ICEBERG_JARS"
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(JARS not in os.environ, reason=f"{JARS} names no connector of Spark's for Iceberg"),
]


class Lake:
    """A catalog of Spark's in a folder."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.name = f"lake_{folder.parent.name}_{folder.parent.parent.name}".replace("-", "_")
        catalog = f"spark.sql.catalog.{self.name}"
        spark.conf.set(catalog, "org.apache.iceberg.spark.SparkCatalog")
        spark.conf.set(f"{catalog}.type", "hadoop")
        spark.conf.set(f"{catalog}.warehouse", f"file://{folder}")
        spark.sql(f"CREATE NAMESPACE {self.name}.ns")

    def sql(self, words: str) -> list[Any]:
        """Run a statement, in which LAKE is the catalog."""
        return self.spark.sql(words.replace("LAKE", self.name)).collect()

    def insert(self, rows: Rows) -> None:
        """Append documents to the table `docs`."""
        data = [(doc_id, row["text"], row["domain"]) for doc_id, row in rows.items()]
        self.spark.createDataFrame(data, ["doc_id", "text", "domain"]).writeTo(f"{self.name}.ns.docs").append()

    def rows(self, table: str, order: list[str]) -> list[dict[str, Any]]:
        """What Spark's connector and pyiceberg read, which is the same."""
        self.sql(f"REFRESH TABLE LAKE.ns.{table}")
        by_spark = [row.asDict(recursive=True) for row in self.sql(f"SELECT * FROM LAKE.ns.{table}")]
        place = self.folder / "ns" / table / "metadata"
        newest = place / f"v{(place / 'version-hint.text').read_text()}.metadata.json"
        by_library = StaticTable.from_metadata(str(newest)).scan().to_arrow().to_pylist()
        found = [sorted(rows, key=lambda row: [row[name] for name in order]) for rows in (by_spark, by_library)]
        assert found[0] == found[1]
        return found[0]


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path / "lake")


def published(lake: Lake) -> list[dict[str, Any]]:
    """Rows of the output's table, as `Corpus.rows` has those of its files."""
    rows = lake.rows("found", ["doc_id", "entity_type"])
    return [{name: value for name, value in row.items() if name != "run_id"} for row in rows]


def commits(lake: Lake) -> list[tuple[str | None, str | None]]:
    """Who made each snapshot of the output's table, and how often it had published."""
    found = lake.sql("SELECT summary FROM LAKE.ns.found.snapshots ORDER BY committed_at")
    return [(row[0].get("uniner-dist.run"), row[0].get("uniner-dist.times")) for row in found]


def test_an_output_in_sparks_catalog_is_one_commit_a_publication(
    corpus: Corpus, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"output.format": "iceberg", "output.table": f"table:{lake.name}.ns.found"}
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
    made = [(f"uniner-dist {first.id}", "1")]
    assert commits(lake) == made
    monkeypatch.undo()
    for _ in range(2):
        publish(corpus.spark, first)
        assert commits(lake) == made, "what is committed is not committed again"
    assert published(lake) == corpus.rows

    corpus.write(documents(range(2, 10), "Rosa"))
    second = corpus.open(**options)
    corpus.run(**options)
    made.append((f"uniner-dist {second.id}", "1"))
    assert commits(lake) == made
    assert published(lake) == corpus.rows == corpus.full()[0]

    assert erase_documents(second.layout.workdir, ["d003"]).annotations == 2
    assert commits(lake) == [*made, (None, None)]
    assert published(lake) == corpus.rows
    assert "d003" not in {row["doc_id"] for row in published(lake)}
    held = [file for place in (corpus.folder / "annotations", lake.folder) for file in place.rglob("*")]
    assert not [file for file in held if file.is_file() and b"d003" in read_bytes(str(file))]

    for key, wrong in (("output.table", None), ("output.table", f"table:{lake.name}.ns.other")):
        with pytest.raises(ConfigError, match=rf"was begun with its table table:{lake.name}\.ns\.found, not "):
            corpus.open(**options | {key: wrong})
    lake.sql("DELETE FROM LAKE.ns.found WHERE doc_id = 'd004'")
    corpus.write(documents(range(2, 11), "Rosa"))
    with pytest.raises(StageError, match="the table was changed by another program"):
        corpus.run(**options)


def test_a_table_that_cannot_be_written_is_refused_before_work(corpus: Corpus, lake: Lake) -> None:
    corpus.write(documents(range(2)))
    lake.sql("CREATE TABLE LAKE.ns.theirs (doc_id STRING) USING iceberg")
    told = {
        f"{lake.name}.ns.theirs": "is there already, and not made by this program; choose another name",
        f"{lake.name}.nowhere.found": rf"the catalog has no schema `{lake.name}`\.`nowhere`; make it: CREATE NAMESPACE",
        "spark_catalog.default.found": "is in no catalog of Iceberg's",
        "elsewhere.ns.found": "Spark's settings do not say how to reach the catalog 'elsewhere'",
    }
    for name, words in told.items():
        with pytest.raises(ConfigError, match=words):
            corpus.open(**{"output.format": "iceberg", "output.table": f"table:{name}"})
    assert not (corpus.folder / "annotations").exists()


def test_a_corpus_in_sparks_iceberg_catalog_keeps_its_snapshot(corpus: Corpus, lake: Lake) -> None:
    lake.sql(
        "CREATE TABLE LAKE.ns.docs (doc_id STRING, text STRING, domain STRING) USING iceberg PARTITIONED BY (domain) "
        "TBLPROPERTIES ('format-version'='2', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read')"
    )
    lake.insert(documents(range(12)))
    options = {"corpus.path": f"table:{lake.name}.ns.docs"}
    crashed = corpus.open(**options)
    write_prompts(corpus.spark, crashed)
    kept = answer(crashed, shards=1)
    lake.sql("DELETE FROM LAKE.ns.docs WHERE doc_id = 'd003'")
    lake.sql("UPDATE LAKE.ns.docs SET text = 'Zoe.' WHERE doc_id = 'd004'")
    lake.insert(documents(range(20, 22)))
    resumed = corpus.open(**options)
    assert (resumed.id, resumed.corpus_version) == (crashed.id, crashed.corpus_version)
    assert len(corpus.run(**options) + kept) == 24
    assert {row["doc_id"] for row in corpus.rows} == set(documents(range(12)))

    received = corpus.run(**options)
    assert {text for text, _ in received} == {"Zoe.", *(row["text"] for row in documents(range(20, 22)).values())}
    assert corpus.rows == corpus.full(**options)[0]
    assert {row["doc_id"] for row in corpus.rows} == {row["doc_id"] for row in lake.rows("docs", ["doc_id"])}
