"""Nothing is published whose offsets do not hold in the document as it was stored."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.invariants import check_output
from tests.support.scripted import capitalised, complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.errors import AuditError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run

pytestmark = pytest.mark.spark

TEXTS = {
    "long": "".join(f"Sentence {i} says that Ada met Babbage. " for i in range(200)),
    "cut": "xAdaX" * 700,  # no border of a word for the splitter, and none for a mention
    "short": "Ada met Babbage.",
}


@pytest.fixture
def answered(spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]) -> Run:
    """A run up to its completions; two of its three documents are split."""
    rows = [{"doc_id": doc_id, "text": text} for doc_id, text in TEXTS.items()]
    run = make_run(write_corpus(tmp_path / "corpus", rows))
    assert write_prompts(spark, run).split_documents == 2
    complete(run, lambda text, ask: '["Ada"]' if text[:3] == "Ada" else capitalised(text, ask))
    return run


def rewrite(folder: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of a Parquet folder in place, as a bug or a broken disk might."""
    for path in Path(folder).rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def test_documents_that_were_split_are_published_with_true_offsets(spark: SparkSession, answered: Run) -> None:
    write_annotations(spark, answered)
    publish(spark, answered)
    check_output(answered.config.output.path, TEXTS, ["person", "PLACE"])
    assert not os.path.exists(f"{answered.layout.root}/splits")


def test_one_shifted_passage_is_caught_and_nothing_is_published(spark: SparkSession, answered: Run) -> None:
    def shift(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["start"] += row["document"]["doc_id"] == "long" and row["passage"] == 3

    rewrite(answered.layout.occurrences, shift)
    with pytest.raises(AuditError, match=r"document 'long': the passage that starts at .* is not what is there"):
        write_annotations(spark, answered)
    assert not os.path.exists(answered.config.output.path)


def test_another_text_under_a_passages_id_is_caught_before_publishing(spark: SparkSession, answered: Run) -> None:
    def alter(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["text"] == TEXTS["short"]:
                row["text"] = " " + row["text"]

    rewrite(answered.layout.prompts, alter)
    with pytest.raises(AuditError, match="is not the one of the corpus"):
        write_annotations(spark, answered)
    assert not os.path.exists(answered.config.output.path)
