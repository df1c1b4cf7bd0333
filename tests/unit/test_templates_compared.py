"""One model, several prompt templates, in one command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.templates import compare_templates, print_templates


def write_data(folder: Path) -> Path:
    entities = pa.list_(pa.struct([("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))
    (folder / "corpus").mkdir(parents=True)
    (folder / "gold").mkdir()
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["Ada met Bob"]}), folder / "corpus/c.parquet")
    gold = {"doc_id": ["1"], "entity_type": ["person"], "entities": [[{"text": "Ada", "start": 0, "end": 3}]]}
    schema = pa.schema([("doc_id", pa.string()), ("entity_type", pa.string()), ("entities", entities)])
    pq.write_table(pa.table(gold, schema=schema), folder / "gold/g.parquet")
    return folder


def test_each_template_is_run_in_a_folder_of_its_own_and_the_best_is_named(tmp_path: Path) -> None:
    data, asked = write_data(tmp_path / "data"), list[str]()

    def annotate(config: Config, say: Callable[[str], None]) -> None:
        asked.append(config.model.template)
        found = [["Ada"]] if config.model.template == "ie_as_qa_train" else [["Bob"]]
        path = Path(config.output.path)
        path.mkdir(parents=True)
        rows = {
            "doc_id": ["1"],
            "entity_type": ["person"],
            "outcome": ["found"],
            "entities": [[{"text": text, "start": 0, "end": 3} for text in found[0]]],
        }
        pq.write_table(pa.table(rows), path / "part.parquet")

    names = ["ie_as_qa", "ie_as_qa_train"]
    compared = compare_templates(str(data), str(tmp_path / "out"), names, annotate=annotate, say=lambda line: None)
    assert asked == names
    assert compared.best == "ie_as_qa_train"
    written = json.loads((tmp_path / "out/templates.json").read_text())
    assert written["best"] == "ie_as_qa_train"
    assert written["mean_f1"] == pytest.approx({"ie_as_qa": 0.0, "ie_as_qa_train": 1.0})
    console = Console(record=True, width=120)
    print_templates(compared, console)
    assert "ie_as_qa_train" in console.export_text()
    assert (tmp_path / "out/ie_as_qa/scores.json").is_file()


@pytest.mark.parametrize("names", [["ie_as_qa", "ie_as_qa"], ["ie_as_qa", "nope"]])
def test_unknown_and_repeated_templates_are_refused_before_anything_runs(tmp_path: Path, names: list[str]) -> None:
    def annotate(config: Config, say: Callable[[str], None]) -> None:
        raise AssertionError("nothing is to run")

    with pytest.raises(ConfigError):
        compare_templates(str(tmp_path), str(tmp_path / "out"), names, annotate=annotate)
