"""Folder columns with values that are no good folder names, from folders and from columns of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.invariants import read_annotations
from tests.support.scripted import complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.errors import StageError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run

pytestmark = pytest.mark.spark


def annotated(spark: SparkSession, run: Run) -> dict[str, str | None]:
    """The whole job with scripted answers; returns the folder value of each document."""
    write_prompts(spark, run)
    complete(run)
    write_annotations(spark, run)
    publish(spark, run)
    return {row["doc_id"]: row["place"] for row in read_annotations(run.config.output.path)}


def test_an_empty_folder_value_is_null_and_its_neighbours_are_read_as_ever(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    places = ["", "a b", "münchen", "x=y%41", "100%", "a+b%2B", "c/d", None]
    rows = [{"doc_id": f"d{i}", "text": "Ada met Bob.", "place": place} for i, place in enumerate(places)]
    run = make_run(write_corpus(tmp_path / "corpus", rows, ["place"]))
    assert (tmp_path / "corpus" / "place=").is_dir()
    found = annotated(spark, run)
    assert found == {f"d{i}": place or None for i, place in enumerate(places)}


def test_the_folders_of_two_datasets_are_no_corpus(
    spark: SparkSession, make_run: Callable[..., Run], tmp_path: Path
) -> None:
    rows = [{"doc_id": "1", "text": "Ada met Charles.", "domain": "a"}]
    for dataset in ("corpus", "gold"):
        write_corpus(tmp_path / "both" / dataset, rows, ["domain"])
    with pytest.raises(StageError, match="folders of several datasets below it; give the folder of one"):
        write_prompts(spark, make_run(str(tmp_path / "both")))
