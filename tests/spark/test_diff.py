"""Two datasets compared by Spark: the same figures as cell by cell, and runs of one output told apart."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.evaluation_data import annotation, entity, write_annotations
from tests.support.scripted import capitalised, complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations as stage_annotations
from uniner_dist.comparison.figures import ComparedDocuments, TallySummary
from uniner_dist.comparison.joining import Side, compare
from uniner_dist.comparison.tally import Tally
from uniner_dist.core.differences import Cell
from uniner_dist.errors import ConfigError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run

pytestmark = pytest.mark.spark


def _dataset(seed: int, documents: range) -> list[dict[str, Any]]:
    """Answers that agree between seeds more often than not."""
    rows = []
    for doc_id in documents:
        for entity_type in ("person", "PLACE", "001"):
            same, own = random.Random(f"{doc_id} {entity_type}"), random.Random(f"{doc_id} {entity_type} {seed}")
            rng = own if own.random() < 0.4 else same
            starts = [rng.randrange(60) for _ in range(rng.randrange(4))]
            entities = [entity(rng.choice(["Ada", "Bob"]), rng.choice([start, None])) for start in starts]
            outcome = "truncated" if rng.random() < 0.1 else None
            rows.append(annotation(f"ü{doc_id}", entity_type, entities, outcome, domain=f"0{doc_id % 3}"))
    return rows


def test_spark_counts_what_comparing_cell_by_cell_counts(spark: SparkSession, tmp_path: Path) -> None:
    before, after = _dataset(1, range(60)), [row for row in _dataset(2, range(4, 70)) if row["doc_id"] != "ü9"]
    del after[5]  # a document on both sides with a type on one
    found = compare(
        spark,
        Side(write_annotations(tmp_path / "before", before)),
        Side(write_annotations(tmp_path / "after", after)),
        by="domain",
    )
    assert found.documents == ComparedDocuments(both=55, only_before=5, only_after=10)
    sides = [{(row["doc_id"], row["folders"]["entity_type"]): row for row in rows} for rows in (before, after)]
    tally = Tally()
    for key in sides[0] | sides[1]:
        rows = [side.get(key) for side in sides]
        one, other = (Cell.of(row["outcome"], row["entities"]) if row else None for row in rows)
        tally.add(*key, one, other, group=rows[1]["folders"]["domain"] if rows[1] else None)
    expected = tally.summary()
    assert 0 < (expected.agreement or 0) < 1
    assert all((expected.kept, expected.moved, expected.borders, expected.vanished, expected.appeared))
    assert TallySummary.model_validate({name: getattr(found, name) for name in TallySummary.model_fields}) == expected
    assert set(found.by or ()) == {"00", "01", "02"}


def _publish(spark: SparkSession, run: Run, answer: Callable[[str, str], str | None] = capitalised) -> Run:
    write_prompts(spark, run)
    complete(run, answer)
    stage_annotations(spark, run)
    publish(spark, run)
    return run


def test_runs_of_one_output_are_told_apart_and_wrong_options_named(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    rows = [{"id": i, "text": f"Ada wrote note {i} to Bob.", "day": "mo"} for i in range(6)]
    corpora = [write_corpus(tmp_path / name, part, ["day"]) for name, part in (("c1", rows[:4]), ("c2", rows[2:]))]
    first = _publish(spark, make_run(corpora[0], corpus__id_column="id"))
    second = _publish(spark, make_run(corpora[1], corpus__id_column="id"), lambda text, ask: json.dumps(["Bob"]))
    output = first.config.output.path
    whole = compare(spark, Side(output, first.id), Side(output))
    assert whole.documents == ComparedDocuments(both=2, only_before=0, only_after=4)
    assert whole.agreement == 1
    assert compare(spark, Side(output, first.id), Side(output, second.id)).documents.both == 0
    with pytest.raises(ConfigError, match=f"--after-run nope: not in .*{first.id}, {second.id}"):
        compare(spark, Side(output), Side(output, "nope"))
    with pytest.raises(ConfigError, match=r"--after .* has no column colour"):
        compare(spark, Side(output), Side(output), by="colour")
    with pytest.raises(ConfigError, match="--before /nowhere: is not there"):
        compare(spark, Side("/nowhere"), Side(output))


def test_a_cell_that_stands_twice_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    row = annotation("1", "person", [entity("Ada", 0)])
    path = write_annotations(tmp_path / "twice", [row, row])
    with pytest.raises(ConfigError, match="document 1, type person occurs more than once"):
        compare(spark, Side(path), Side(path))
