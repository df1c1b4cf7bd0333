"""Exports of published annotations: every document once, with its text, whatever files its rows lie in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import open_run_over, write_corpus
from tests.support.invariants import read_annotations
from tests.support.scripted import complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.cli.export import ExportOptions, run_export
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run

pytestmark = pytest.mark.spark


def _publish(spark: SparkSession, run: Run) -> Run:
    write_prompts(spark, run)
    complete(run)
    write_annotations(spark, run)
    publish(spark, run)
    return run


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, model_folder: str) -> str:
    """Two days' annotations; day one has a repeated id, a row that cannot be used, and a long document."""
    monday: list[dict[str, Any]] = [
        {"id": i, "body": f"Ada \U0001f469 wrote note {i}.\nTo Bob.", "day": "mo"} for i in range(20)
    ]
    monday += [{"id": 3, "body": "A repeated Id.", "day": "mo"}, {"id": 77, "body": " \n", "day": "mo"}]
    monday += [{"id": 50, "body": "Ada met Bob. " * 400, "day": "mo"}]
    tuesday = [{"id": i, "body": f"Eve wrote {i}.", "day": "tu"} for i in range(100, 105)]
    folder = tmp_path_factory.mktemp("export")
    path, output = folder / "corpus", str(folder / "annotations")
    options = {"corpus__id_column": "id", "corpus__text_column": "body"}
    write_corpus(path, monday, ["day"])
    _publish(spark, open_run_over(str(path / "day=mo"), output, model_folder, **options))
    write_corpus(path, tuesday, ["day"])
    _publish(spark, open_run_over(str(path / "day=tu"), output, model_folder, **options))
    return output


def _export(output: str, folder: Path, name: str, **options: Any) -> dict[str, Any]:
    said: list[str] = []
    manifest = run_export(ExportOptions(output, str(folder), name, **options), (), [], said.append)
    assert manifest == json.loads((folder / "export.json").read_text())
    return manifest | {"said": "\n".join(said)}


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_every_document_comes_out_once_with_its_text_and_all_its_types(
    spark: SparkSession, output: str, tmp_path: Path
) -> None:
    manifest = _export(output, tmp_path / "export", "jsonl")
    rows = read_annotations(output)
    exported = _lines(tmp_path / "export")
    found = {(row["doc_id"], answer["entity_type"]): answer for row in exported for answer in row["annotations"]}
    assert {key: answer["entities"] for key, answer in found.items()} == {
        (str(row["id"]), row["entity_type"]): row["entities"] for row in rows
    }
    assert len(found) == len(rows) == 2 * manifest["documents"] == 2 * len(exported) == 2 * 26
    assert [answer["entity_type"] for answer in exported[0]["annotations"]] == ["person", "PLACE"]
    assert manifest["mentions"] == sum(len(row["entities"]) for row in rows)
    assert manifest["complete"]
    assert manifest["without_text"] == manifest["text_changed"] == 0
    gold = read_gold(str(tmp_path / "export"))
    assert gold.pairs == len(rows)
    assert gold.has_spans


def test_a_sample_and_chosen_types_and_what_an_export_replaces(
    spark: SparkSession, output: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    first = _export(output, folder, "conll", sample=5, types="person")
    assert (first["documents"], first["labels"]) == (5, ["person"])
    chosen = set(read_gold(str(folder)).answers())
    _export(output, folder, "labelstudio", sample=8)
    tasks = [task for path in folder.glob("part-*.json") for task in json.loads(path.read_text())]
    assert len(tasks) == 8
    assert chosen < {task["data"]["doc_id"] for task in tasks}, "a larger sample has the documents of a smaller one"
    assert not list(folder.glob("*.conll")), "an export is replaced as a whole"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"--output .*mine: already holds something else \(notes.txt"):
        _export(output, tmp_path / "mine", "jsonl")
    with pytest.raises(ConfigError, match="--types pet: not in the annotations, which have person, PLACE"):
        _export(output, tmp_path / "new", "jsonl", types="pet")


def test_a_corrected_export_exported_again_keeps_the_corrections(
    spark: SparkSession, output: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    _export(output, folder, "conll", sample=5)
    again = _export(output, folder, "conll", sample=5)
    assert again["documents"] == 5, "what nobody touched is replaced"
    [part, *_] = sorted(folder.glob("part-*.conll"))
    corrected = part.read_text().replace("B-person", "B-PLACE")
    part.write_text(corrected)
    with pytest.raises(ConfigError, match=rf"1 files were changed or added .*\({part.name}\)"):
        _export(output, folder, "jsonl", sample=5)
    assert part.read_text() == corrected
    _export(output, folder, "jsonl", sample=5, replace=True)
    assert not part.exists()


def test_documents_whose_text_is_another_one_now_are_left_out_and_counted(
    spark: SparkSession, output: str, tmp_path: Path
) -> None:
    rows = [{"id": i, "body": f"Ada \U0001f469 wrote note {i}.\nTo Bob."} for i in range(10)]
    rows[4]["body"] = "Somebody wrote something else."
    manifest = _export(
        output, tmp_path / "export", "spacy", corpus=write_corpus(tmp_path / "now", rows), text_column="body"
    )
    assert (manifest["documents"], manifest["text_changed"], manifest["without_text"]) == (9, 1, 16)
    assert "1 documents left out because their text is no longer the one that was annotated" in manifest["said"]
    assert "16 documents left out because the corpus no longer has them" in manifest["said"]
    other = write_corpus(tmp_path / "other", [{"id": 1, "body": "x", "text": "y"}])
    with pytest.raises(
        ConfigError, match=r"has the annotated text of no document \(25 ids are not there, 1 have another"
    ):
        _export(output, tmp_path / "none", "jsonl", corpus=other, text_column="body")
    with pytest.raises(ConfigError, match=r"has no column txet; columns there: id, body, text"):
        _export(output, tmp_path / "none", "jsonl", corpus=other, text_column="txet")
