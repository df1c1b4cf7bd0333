"""Random corpora as in tests/unit/test_parquet_corpora.py, read by Spark and by its tasks: `make corpora`."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.support import parquet_referees as referees
from tests.support.parquet_corpora import write_corpus
from uniner_dist.spark import datasets, planned
from uniner_dist.spark.stage import stage
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot

pytestmark = [pytest.mark.spark, pytest.mark.slow]

CORPORA, SEED = int(os.environ.get("CORPORA", "20")), int(os.environ.get("SEED", "1"))


@pytest.mark.parametrize("seed", range(1000 * SEED, 1000 * SEED + CORPORA))
def test_spark_and_its_tasks_read_a_random_corpus_as_pyarrow_and_duckdb(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    corpus = write_corpus(tmp_path / "corpus", seed)
    expected, folders = referees.rows_by_pyarrow(corpus), referees.folders_by_duckdb(corpus)
    assert referees.rows_by_duckdb(corpus) == expected
    for reader in ("spark", "tasks"):
        if reader == "tasks":
            for module in (datasets, planned):
                monkeypatch.setattr(module, "connector_path", lambda spark, path: None)
        snapshot = take_snapshot(corpus.path, corpus.names)
        target = str(tmp_path / reader)
        with stage(spark, "read"):
            reading = plan_reading(snapshot, corpus.names)
            planned.read_planned(spark, snapshot, reading, corpus.names).write.parquet(target)
        found = pq.read_table(target)
        assert len(set(zip(found["file"].to_pylist(), found["row"].to_pylist(), strict=True))) == len(expected)
        found = found.drop_columns(["file", "row"]).rename_columns(corpus.names)
        assert referees.rows_of(found) == expected, reader
        assert referees.folders_of(found, corpus) == folders, reader
