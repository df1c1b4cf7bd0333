"""The script behind benchmarks/confidence.md, from scores to table and picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.evaluation_data import annotation, entity, write_annotations, write_strings
from uniner_dist.evaluation import evaluate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def confidence() -> ModuleType:
    spec = importlib.util.spec_from_file_location("confidence", BENCHMARKS / "confidence.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_and_picture_of_confidence_are_made_from_scores(confidence: ModuleType, tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome"]), ("2", "city", []), ("3", "city", ["Oslo"]), ("1", "person", [])]
    rows = [
        annotation("1", "city", [entity("Rome", 0, 0.9), entity("Bob", 9, 0.25)], score=0.2),
        annotation("2", "city", [], score=0.75),
        annotation("3", "city", [], score=0.5),
        annotation("1", "person", [], score=0.25),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end -->\nafter\n")
    confidence.put_table(page, confidence.table({"mine": scores}))
    assert page.read_text().splitlines()[4] == ("| mine | 0.50 | 2 | 0.50 | 1.000 | 1.000 | 3 | 0.67 | 0.500 | 1.000 |")
    confidence.put_table(page, "again")
    assert page.read_text() == "before\n<!-- table -->\nagain\n<!-- end -->\nafter\n"
    picture = confidence.draw({"all": {"mine": scores}, "known": {"mine": scores}})
    assert len(picture.axes) == 4
    assert "AUC 0.500, within types 1.000" in picture.axes[1].get_legend().get_texts()[0].get_text()


def test_the_page_has_a_place_for_the_table_and_its_pictures_are_there() -> None:
    page = (BENCHMARKS / "confidence.md").read_text()
    assert page.index("<!-- table -->") < page.index("<!-- end -->")
    for name in ("confidence-sample.png", "confidence-crossner.png"):
        assert name in page
        assert (BENCHMARKS / name).stat().st_size > 10_000
