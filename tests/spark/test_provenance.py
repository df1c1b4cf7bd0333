"""Every published row leads to what made it, from the output alone; and a card beside the output disturbs no reader."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.invariants import check_files, read_annotations
from tests.support.scripted import complete
from uniner_dist.annotations.card import write_card
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.provenance import look_up
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import record_values
from uniner_dist.storage.filesystem import join, write_json

pytestmark = pytest.mark.spark


def _publish(spark: SparkSession, run: Run, engine: str) -> DatasetCard:
    write_prompts(spark, run)
    complete(run)
    write_json(join(run.layout.attempts, "1.000.json"), {"engines": [engine]})
    write_annotations(spark, run)
    publish(spark, run)
    return DatasetCard.load(write_card(spark, run))


def _rows(numbers: range, name: str) -> list[dict[str, Any]]:
    return [{"doc_id": i, "text": f"{name} wrote note {i} to Bob.", "day": f"d{i % 2}"} for i in numbers]


def _file_says(file: Path) -> dict[str, Any]:
    """What the footer of a file says at its column `model`."""
    schema = json.loads(pq.read_schema(file).metadata[b"org.apache.spark.sql.parquet.row.metadata"])
    [column] = [field for field in schema["fields"] if field["name"] == "model"]
    metadata: dict[str, Any] = column["metadata"]
    return metadata


def test_rows_of_several_runs_lead_to_their_models_and_into_the_card(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    first = make_run(write_corpus(tmp_path / "c1", _rows(range(10), "Ada"), ["day"]))
    card = _publish(spark, first, "vllm 1.0")
    assert "10 documents, 20 rows" in card.text
    second = make_run(
        write_corpus(tmp_path / "c2", _rows(range(6, 12), "Eve"), ["day"]),
        **{"types": "person", "model.max_tokens": 65, "output.language": "en"},
    )
    card = _publish(spark, second, "vllm 2.0")
    output = Path(first.config.output.path)
    check_files(str(output))

    runs = look_up(str(output))
    assert set(runs) == {first.id, second.id}
    rows = read_annotations(str(output))
    assert Counter(row["run_id"] for row in rows) == {first.id: 12, second.id: 6}
    for row in rows:
        about = runs[row["run_id"]]
        assert (about.model, about.fingerprint) == (row["model"], row["fingerprint"])
    assert runs[first.id].engines == ("vllm 1.0",)
    assert runs[second.id].decoding == "greedy, at most 65 tokens"
    assert runs[first.id].asks == {"person": "person", "PLACE": "place"}
    assert runs[first.id].revision.startswith("sha256:")
    assert {runs[first.id].template, runs[first.id].licence} == {"ie_as_qa", "see the model's card"}

    for file in output.rglob("part-*.parquet"):
        [run_id] = set(pq.ParquetFile(file).read(["run_id"])["run_id"].to_pylist())
        said, known = _file_says(file), record_values(runs[run_id])
        assert said == {name: known[name] for name in said}, "a file taken away from the output says the same"
        assert {"model", "revision", "template", "fingerprint", "engines", "licence"} <= set(said)

    assert card.data.language == ["en"]
    assert "12 documents, 18 rows" in card.text
    mentions = Counter(label for row in rows for label in [row["entity_type"]] * len(row["entities"]))
    assert f"| person | {mentions['person']} |" in card.text
    assert f"### Run `{first.id}`" in card.text
    assert f"### Run `{second.id}`" in card.text
    _check_readers(spark, output)


def _check_readers(spark: SparkSession, output: Path) -> None:
    """The card beside the output is in nobody's way; for Hugging Face's reader see the unit tests."""
    assert spark.read.parquet(str(output)).count() == 18
    assert len(pd.read_parquet(output)) == 18
    assert pads.dataset(output, format="parquet", partitioning="hive").count_rows() == 18
    query = f"SELECT count(*) FROM read_parquet('{output}/**/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(query).fetchall() == [(18,)]
