"""Columns are sorted and matched in several ways, which one by their sizes; all of them give the same scores."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluation_data import annotation, entity, write_annotations, write_spans
from uniner_dist.core.scoring import Counts, relaxed_span_counts, strict_span_counts, total
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation import evaluate, gold_builder, gold_columns, kinds, spans
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.vocabulary import Mentions, Vocabulary

Rows = dict[tuple[str, str], list[tuple[int, int]]]


def _random_rows(seed: int, documents: int) -> tuple[Rows, Rows]:
    """Gold and answers of some documents and types, shuffled, some pairs in one of the two only."""
    generator = random.Random(seed)
    sides: tuple[Rows, Rows] = ({}, {})
    for side in sides:
        pairs = [(f"d{number}", name) for number in range(documents) for name in ("a", "b", "c")]
        for pair in generator.sample(pairs, len(pairs) * 3 // 4):
            starts = [generator.randrange(12) for _ in range(generator.randrange(5))]
            side[pair] = [(start, start + generator.randrange(1, 6)) for start in starts]
    return sides


def _expected(gold: Rows, found: Rows) -> dict[str, dict[str, int]]:
    counted: defaultdict[str, list[Counts]] = defaultdict(list)
    for pair, places in gold.items():
        counted["strict"].append(strict_span_counts(found.get(pair, []), places))
        counted["relaxed"].append(relaxed_span_counts(found.get(pair, []), places))
    sums = {name: total(counts) for name, counts in counted.items()}
    return {name: {"correct": one.correct, "predicted": one.predicted, "gold": one.gold} for name, one in sums.items()}


@pytest.mark.parametrize("narrow", [False, True])
def test_spans_match_as_pair_by_pair_whatever_the_sorting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrow: bool
) -> None:
    if narrow:
        for module, name in ((spans, "_BITS"), (gold_builder, "_TABLE"), (gold_columns, "_TABLE"), (kinds, "_TABLE")):
            monkeypatch.setattr(module, name, -1)
        monkeypatch.setattr(kinds, "_LARGEST", 0)
    gold, found = _random_rows(5, 40)
    text = "x" * 20
    places = write_spans(tmp_path / "g", [(*pair, [(text[: e - s], s) for s, e in one]) for pair, one in gold.items()])
    rows = [annotation(*pair, [entity(text[: e - s], s) for s, e in one]) for pair, one in found.items()]
    monkeypatch.setattr(spans, "contradiction", lambda found, expected: None)
    scores = evaluate(write_annotations(tmp_path / "a", rows), places)
    assert {name: scores[name]["counts"] for name in ("strict", "relaxed")} == _expected(gold, found)
    assert scores["pairs"]["missing"] == len(set(gold) - set(found))
    assert scores["pairs"]["annotations_without_gold"] == len(set(found) - set(gold))
    for name in ("a", "b", "c"):
        parts = [{pair: one for pair, one in side.items() if pair[1] == name} for side in (gold, found)]
        assert scores["by_type"][name]["relaxed"]["counts"] == _expected(*parts)["relaxed"]
    numbers = [scores[name]["intervals"]["f1"] for name in ("official", "strict", "relaxed")]
    assert all(low <= high for low, high in numbers)


@pytest.mark.parametrize("table", [8, -1])
def test_a_pair_that_stands_twice_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: int) -> None:
    monkeypatch.setattr(gold_builder, "_TABLE", table)
    rows = [("1", "city", []), ("2", "city", []), ("2", "person", []), ("2", "city", [])]
    with pytest.raises(ConfigError, match="document 2, type city occurs more than once"):
        read_gold(write_spans(tmp_path / "g", rows))


def test_numbers_of_strings_are_those_of_first_appearance() -> None:
    import pyarrow as pa

    names = Vocabulary()
    assert names.numbers(pa.array(["b", "a", "b", None])).tolist() == [0, 1, 0, -1]
    assert names.numbers(pa.array(["c", "a", "d", "c"])).tolist() == [2, 1, 3, 2]
    assert names.numbers(pa.array(["d", "e"]), add=False).tolist() == [3, -1]
    assert names.numbers(pa.DictionaryArray.from_arrays([0, 1, None], ["f", "f"])).tolist() == [4, 4, -1]
    assert names.numbers(pa.array([7, 8])).tolist() == [5, 6]
    assert names.strings == ["b", "a", "c", "d", "f", "7", "8"]
    mentions = Mentions()
    columns = [pa.array(["The Hague", "Rome"]), pa.array(["Rome", None, "hague"])]
    assert mentions.numbers_of_all(columns).tolist() == [0, 1, 1, -1, 2]
    assert np.diff(mentions.normal_of(np.array([0, 2]))).tolist() == [0]
