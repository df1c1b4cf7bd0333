"""Delta and Iceberg tables on S3: each library's own client and ours find the usual credentials."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from pyspark.sql import SparkSession

from tests.support import lake_tables
from tests.support.flaky import FlakyProxy
from uniner_dist.spark.planned import read_planned
from uniner_dist.storage import retries
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import take_snapshot
from uniner_dist.storage.tables.commit import TableFormat, commit_files
from uniner_dist.storage.tables.delta import storage_options
from uniner_dist.storage.tables.open import Wanted, open_corpus
from uniner_dist.storage.tables.output_table import Change


def ids(path: str) -> list[str]:
    """Ids of a corpus's documents, in order."""
    return sorted(value for batch in rows_of(take_snapshot(path), ["doc_id"]) for value in batch[0].to_pylist())


@pytest.mark.usefixtures("s3")
def test_a_delta_table_on_s3_is_read() -> None:
    path = "s3://bucket/delta"
    write_deltalake(path, lake_tables.rows(1, 2, 3), storage_options=storage_options())
    DeltaTable(path, storage_options=storage_options()).delete("doc_id = '2'")
    assert ids(path) == ["1", "3"]


def test_a_storage_that_fails_is_not_taken_for_plain_parquet(s3: FlakyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_WAITS_S", (0.01,))
    path = "s3://bucket/sick"
    write_deltalake(path, lake_tables.rows(1), storage_options=storage_options())
    monkeypatch.setattr(s3, "plan", lambda method, path: "403")
    with pytest.raises(StorageError, match="sick"):
        open_corpus(path, Wanted(version=0))


def test_an_iceberg_table_on_s3_is_read(s3: FlakyProxy, tmp_path: Path) -> None:
    catalog = SqlCatalog(
        "c", uri=f"sqlite:///{tmp_path}/c.db", warehouse="s3://bucket/iceberg", **{"s3.endpoint": s3.url}
    )
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", schema=lake_tables.rows(1).schema)
    table.append(lake_tables.rows(1, 2, 3))
    table.delete("doc_id == '2'")
    assert ids(table.metadata_location) == ["1", "3"]


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_an_output_on_s3_may_be_a_table(kind: TableFormat) -> None:
    output = f"s3://bucket/output-{kind}"
    for number in (1, 2):
        name = f"entity_type=a%2Fb/part-{number:012}-0.parquet"
        with open_fs(output)[0].open(f"{output}/{name}", "wb") as stream:
            pq.write_table(pa.table({"doc_id": [str(number)], "text": ["Ada"]}), stream)
        commit_files(output, kind, ["entity_type"], Change([name], (), ("uniner-dist r", number)))
    assert ids(output if kind == "delta" else f"{output}/_iceberg") == ["1", "2"]


def ids_by_spark(spark: SparkSession, path: str) -> list[str]:
    """Ids of a corpus's documents as Spark's tasks read them, whose processes know no credentials."""
    known = spark.sparkContext.parallelize([0]).map(lambda _: os.environ.get("AWS_ACCESS_KEY_ID")).collect()
    assert known == [None]
    snapshot = take_snapshot(path)
    rows = read_planned(spark, snapshot, plan_reading(snapshot, ["doc_id", "text"]), ["doc_id", "text"])
    return sorted(row["c0"] for row in rows.collect())


@pytest.mark.slow
def test_credentials_of_the_driver_reach_the_tasks_that_read_a_table(
    spark: SparkSession, s3: FlakyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, endpoint = "s3://bucket/of-the-driver", {"s3.endpoint": s3.url}
    monkeypatch.setattr(s3, "credential", "test-key-id")
    write_deltalake(path, lake_tables.rows(1, 2, 3), storage_options=storage_options())
    assert ids_by_spark(spark, path) == ["1", "2", "3"]
    catalog = SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse="s3://bucket/lent", **endpoint)
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", schema=lake_tables.rows(1).schema)
    table.append(lake_tables.rows(1, 2, 3))
    table.delete("doc_id == '2'")
    assert ids_by_spark(spark, table.metadata_location) == ["1", "3"]

    # What a catalog lends is in no variable of the clients of storage.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(s3, "credential", "lent-key-id")
    lent = {"URI": f"sqlite:///{tmp_path}/c.db", "S3__ENDPOINT": s3.url, "S3__REGION": "us-east-1", "TYPE": "sql"}
    lent |= {"S3__ACCESS_KEY_ID": "lent-key-id", "S3__SECRET_ACCESS_KEY": "lent-secret-never-shown"}
    for name, value in lent.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__C__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    assert ids_by_spark(spark, "table:c.ns.t") == ["1", "3"]
