"""The quality gate's parts that need no Spark: gold slice, pinned sample, judgement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.evaluation_data import write_strings
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config, GateConfig
from uniner_dist.core.differences import Cell
from uniner_dist.errors import ConfigError, QualityGateError
from uniner_dist.evaluation.gold_slice import read_gold_slice
from uniner_dist.gate.figures import compare
from uniner_dist.gate.sample import Sample, Source, erase_from_sample, read_sample, update_sample
from uniner_dist.gate.verdict import judge, lowest_rate
from uniner_dist.pipeline.preflight import check
from uniner_dist.storage.control_files import Agreement, GoldFigures


def _config(gate: dict[str, Any], types: str = "PER=person,place", **sections: Any) -> Config:
    tree = {"corpus": {"path": "/c"}, "output": {"path": "/o"}, "types": types, "gate": gate, **sections}
    return validate_tree(tree)


@pytest.fixture
def gold(tmp_path: Path) -> str:
    return write_strings(tmp_path / "gold", [("1", "PER", ["Ada"]), ("1", "river", []), ("2", "river", ["Po"])])


def test_options_of_the_gate_that_go_together_are_asked_for_together() -> None:
    for gate in ({"gold": "/g"}, {"min_f1": 0.5}):
        with pytest.raises(ConfigError, match="gold and min_f1 go together"):
            _config(gate)
    with pytest.raises(ConfigError, match="texts of gold, which is missing"):
        _config({"corpus": "/c"})


def test_only_labels_of_the_run_are_judged_and_texts_are_the_corpus_s(gold: str) -> None:
    slice_ = read_gold_slice(_config({"gold": gold, "min_f1": 0.5}))
    assert slice_ is not None
    assert (slice_.answers, slice_.texts, slice_.source) == ({"1": {"PER": ["Ada"]}}, {}, "corpus")
    assert slice_.labels == ("PER",)
    assert read_gold_slice(_config({"sample": 3})) is None


def test_gold_of_other_formats_brings_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "news.conll"
    path.write_text("Ada\tB-PER\nlived\tO\n\nNo\tO\none\tO\n")
    slice_ = read_gold_slice(_config({"gold": str(path), "min_f1": 0.5}))
    assert slice_ is not None
    assert slice_.texts == {"news-0": "Ada lived", "news-1": "No one"}
    assert slice_.answers == {"news-0": {"PER": ["Ada"]}, "news-1": {"PER": []}}
    assert slice_.source == "gate.gold"


def test_texts_of_a_dataset_of_its_own_are_read_under_either_name(tmp_path: Path, gold: str) -> None:
    path = str(tmp_path / "texts.parquet")
    pq.write_table(pa.table({"doc_id": [1, 2, 3], "body": ["Ada.", "Po.", "no gold"]}), path)
    config = _config(
        {"gold": gold, "corpus": path, "min_f1": 0.5},
        types="PER,river",
        corpus={"path": "/c", "id_column": "key", "text_column": "body"},
    )
    slice_ = read_gold_slice(config)
    assert slice_ is not None
    assert slice_.texts == {"1": "Ada.", "2": "Po."}


def test_gold_that_cannot_judge_this_run_is_found_before_anything_starts(tmp_path: Path, gold: str) -> None:
    pq.write_table(pa.table({"doc_id": ["7"], "text": ["x"]}), tmp_path / "corpus.parquet")
    places: dict[str, Any] = {
        "corpus": {"path": str(tmp_path / "corpus.parquet")},
        "output": {"path": str(tmp_path / "out")},
    }
    with pytest.raises(ConfigError, match=r"none of its types \(PER, river\) is a label of --types"):
        check(_config({"gold": gold, "min_f1": 0.5}, types="city", **places))
    with pytest.raises(ConfigError, match="has no text for any of the 1 documents"):
        check(_config({"gold": gold, "min_f1": 0.5, "corpus": str(tmp_path / "corpus.parquet")}, **places))
    with pytest.raises(ConfigError, match=r"gate\.gold /nowhere: is not there"):
        check(_config({"gold": "/nowhere", "min_f1": 0.5}, **places))


def _gold(f1: float) -> GoldFigures:
    return GoldFigures(documents=4, f1=f1, interval=(0.1, 0.6), by_type={"PER": 0.7, "place": 0.1})


def _agreement(agreement: float | None, mentions: float | None) -> Agreement:
    return Agreement(documents=9, agreement=agreement, f1=mentions)


def test_an_answer_that_neither_side_has_is_on_no_side() -> None:
    cell, keys = Cell("none"), [("1", "PER"), ("2", "PER"), ("3", "PER"), ("4", "PER")]
    compared = compare(
        dict(zip(keys, (cell, cell, None, None), strict=True)), dict(zip(keys, (cell, None, cell, None), strict=True))
    )
    assert (compared.cells, compared.only_before, compared.only_after) == (1, 1, 1)


def test_f1_below_the_threshold_is_named_with_the_lowest_types() -> None:
    gate = GateConfig(gold="/g", min_f1=0.5)
    assert judge(gate, _gold(0.5)) == []
    [problem] = judge(gate, _gold(0.4999))
    assert "F1 on 4 gold documents is 0.500 (95 %: 0.100–0.600), below gate.min_f1=0.5; lowest: place 0.100" in problem


@pytest.mark.parametrize(("agreement", "mentions", "stops"), [(0.9, 0.9, False), (0.89, 1.0, True), (1.0, 0.89, True)])
def test_both_rates_of_agreement_must_reach_the_threshold(agreement: float, mentions: float, stops: bool) -> None:
    gate, compared = GateConfig(sample=9, min_agreement=0.9), _agreement(agreement, mentions)
    assert bool(judge(gate, None, drift=compared)) == stops
    assert bool(judge(gate, None, bulk=compared)) == stops


def test_agreement_of_answers_without_any_mention_is_their_share() -> None:
    assert lowest_rate(_agreement(0.95, None)) == 0.95
    assert lowest_rate(_agreement(None, None)) is None
    assert judge(GateConfig(sample=9), None) == []


def test_the_error_has_its_own_exit_code_and_lists_every_problem() -> None:
    error = QualityGateError(["one", "two"], "nothing was asked", {"gold": None})
    assert str(error) == "- one\n- two\nnothing was asked"
    assert error.exit_code == 7


def _sample() -> Sample:
    source = Source("person", "f1", "old", "run1")
    cells = {
        (doc, label): Cell("found", (("Ada", 0, 3), ("Eve", None, None))) for doc in "12" for label in ("PER", "x")
    }
    return Sample({"1": "Ada Eve", "2": "Adä"}, {"PER": source, "x": source}, cells)


def test_a_pinned_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    assert read_sample(output) is None
    update_sample(output, lambda pinned: _sample())
    assert read_sample(output) == _sample()
    assert not (tmp_path / "out").exists()


def test_new_answers_replace_those_of_their_labels_only() -> None:
    new = Source("person", "f2", "new", "run2")
    updated = _sample().updated({"PER": new}, {("1", "PER"): Cell("none")})
    assert updated.sources == {"PER": new, "x": _sample().sources["x"]}
    assert set(updated.cells) == {("1", "PER"), ("1", "x"), ("2", "x")}


def test_a_forgotten_document_leaves_neither_text_nor_answers(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    assert erase_from_sample(output, ["1"]) == 0
    update_sample(output, lambda pinned: _sample())
    assert erase_from_sample(output, ["1", "other"]) == 1
    left = read_sample(output)
    assert left is not None
    assert set(left.texts) == {"2"}
    assert {doc_id for doc_id, _ in left.cells} == {"2"}
    assert "Ada Eve" not in (tmp_path / "out.gate/sample.json").read_text()
    assert erase_from_sample(output, ["2"]) == 1
    assert read_sample(output) is None, "the next run draws another one"
