"""Scores of annotations against gold."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.support.evaluation_data import annotation, entity, write_annotations, write_spans, write_strings
from tests.support.row_by_row import Row
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.parse import parse_output
from uniner_dist.core.scoring import official_score
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation import evaluate, print_scores
from uniner_dist.evaluation.gold import read_gold

_OUTPUTS = st.one_of(
    st.lists(st.sampled_from(["Rome", "the Hague", "rome!", "A. Turing", "x] y", "東京", ""]), max_size=4).map(
        json.dumps
    ),
    st.sampled_from(
        ["[]", "", "no list", '["a", "b', "['Rome']", '[1, "Rome"]', 'USER: ["q"] ASSISTANT: ["Rome"]', " [] "]
    ),
    st.text(max_size=12),
)


def row_of(output: str) -> Row:
    """What the pipeline publishes for a model's output: the raw output only where the mentions do not say it all."""
    parsed = parse_output(output, "stop")
    entities = [entity(mention, 0) for mention in parsed.mentions]
    clean = parsed.repair is None and not parsed.outcome.is_failure
    return Row("d", "t", entities, parsed.outcome.value, None if clean else output)


@settings(deadline=None)
@given(_OUTPUTS, st.lists(st.sampled_from(["Rome", "Hague", "a turing", "東京", "x y", "q"]), max_size=3))
def test_the_official_metric_of_a_row_is_that_of_the_raw_output(output: str, gold: list[str]) -> None:
    answer = output.split("ASSISTANT:")[-1].strip()
    expected = official_score([answer], [json.dumps(gold)])
    assert official_score([json.dumps(row_of(output).official())], [json.dumps(gold)]) == expected


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pairs=st.lists(st.tuples(_OUTPUTS, st.lists(st.sampled_from(["Rome", "Hague"]), max_size=2)), max_size=8))
def test_the_official_metric_of_a_dataset_is_that_of_the_authors(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, list[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    rows = [row_of(output) for output, _ in pairs]
    written = [
        annotation(f"{i // 2}", "ab"[i % 2], row.entities, row.outcome, row.raw_output) for i, row in enumerate(rows)
    ]
    golds = [(f"{i // 2}", "ab"[i % 2], gold) for i, (_, gold) in enumerate(pairs)]
    if not pairs:
        return
    scores = evaluate(write_annotations(folder / "annotations", written), write_strings(folder / "gold", golds))
    outputs = [output.split("ASSISTANT:")[-1].strip() for output, _ in pairs]
    expected = official_score(outputs, [json.dumps(gold) for _, gold in pairs])
    assert {name: scores["official"][name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_document_of_several_passages_is_scored_by_its_mentions() -> None:
    raw = json.dumps([{"start": 0, "output": "['Rome']"}, {"start": 90, "output": '["Oslo"]'}])
    row = Row("d", "t", [entity("Rome", 0), entity("Oslo", 95)], "found", raw)
    assert row.official() == ["rome", "oslo"]


def test_a_failed_answer_is_an_empty_one_whatever_it_lists() -> None:
    raw = json.dumps([{"start": 0, "output": '["Rome", "Ro'}])
    assert Row("d", "t", [entity("Rome", 0)], "truncated", raw).official() == []
    assert Row("d", "t", [entity("Rome", 0)], "truncated", '["Rome", "Ro').official() == []


def test_strict_spans_need_both_borders_and_relaxed_ones_an_overlap(tmp_path: Path) -> None:
    gold = write_spans(tmp_path / "gold", [("1", "city", [("New York", 0), ("Rome", 20)]), ("2", "city", [])])
    rows = [
        annotation("1", "city", [entity("York", 4), entity("Rome", 20), entity("Oslo")]),
        annotation("2", "city", [entity("Rome", 3)]),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), gold)
    assert scores["strict"]["counts"] == {"correct": 1, "predicted": 4, "gold": 2}
    assert scores["relaxed"]["counts"] == {"correct": 2, "predicted": 4, "gold": 2}
    assert scores["official"]["counts"] == {"correct": 1, "predicted": 4, "gold": 2}


def test_without_offsets_there_are_no_span_scores(tmp_path: Path) -> None:
    scores = evaluate(
        write_annotations(tmp_path / "annotations", [annotation("1", "city", [entity("Rome", 0)])]),
        write_strings(tmp_path / "gold", [("1", "city", ["Rome"])]),
    )
    assert scores["strict"] is None
    assert scores["relaxed"] is None
    assert scores["official"]["f1"] == pytest.approx(1.0)


def test_missing_failed_and_foreign_rows_are_counted(tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome"]), ("1", "person", []), ("2", "city", ["Oslo"]), ("3", "city", ["Bern"])]
    rows = [
        annotation("1", "city", [entity("Rome", 0)]),
        annotation("1", "person", [], Outcome.ENGINE_ERROR.value),
        annotation("3", "city", [entity("Bern", 0), entity("Ber", 9)], "truncated", '["Bern", "Ber'),
        annotation("1", "river", [entity("Tiber", 3)]),
        annotation("9", "city", [entity("Rome", 0)]),
    ]
    scores = evaluate(
        write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold), "doc_id"
    )
    assert scores["pairs"] == {
        "gold": 4,
        "answered": 1,
        "missing": 1,
        "failed": 2,
        "failed_mentions": 2,
        "annotations_without_gold": 2,
    }
    assert scores["outcomes"] == {"found": 1, "engine_error": 1, "truncated": 1, "missing": 1}
    assert scores["official"]["counts"] == {"correct": 1, "predicted": 1, "gold": 3}
    assert scores["answered"]["official"]["counts"] == {"correct": 1, "predicted": 1, "gold": 1}


def test_skipped_rows_are_empty_answers_that_are_counted_apart(tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome"]), ("2", "city", ["Oslo"]), ("3", "city", []), ("4", "city", [])]
    rows = [
        annotation("1", "city", [entity("Rome", 0)]),
        annotation("2", "city", [], Outcome.SKIPPED.value),
        annotation("3", "city", [], Outcome.SKIPPED.value),
        annotation("4", "city", []),
    ]
    scores = evaluate(
        write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold), "doc_id"
    )
    pairs = {name: scores["pairs"][name] for name in ("gold", "answered", "missing", "failed", "skipped")}
    assert pairs == {"gold": 4, "answered": 2, "missing": 0, "failed": 0, "skipped": 2}
    assert scores["outcomes"] == {"found": 1, "none": 1, "skipped": 2}
    assert scores["official"]["counts"] == {"correct": 1, "predicted": 1, "gold": 2}
    assert scores["answered"]["official"]["counts"] == {"correct": 1, "predicted": 1, "gold": 1}


def test_ids_and_folder_values_stay_as_they_are_spelled(tmp_path: Path) -> None:
    gold = write_strings(tmp_path / "gold", [("001", "2020", ["Rome"]), ("1", "2020", []), ("01", "a/b=c", ["x"])])
    rows = [
        annotation("001", "2020", [entity("Rome", 0)], edition="007"),
        annotation("1", "2020", edition="07"),
        annotation("01", "a/b=c", [entity("x", 0)], edition="7"),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), gold, by="edition")
    assert scores["official"]["counts"] == {"correct": 2, "predicted": 2, "gold": 2}
    assert scores["pairs"]["missing"] == 0
    assert list(scores["by"]) == ["007", "07", "7"]


def test_integer_ids_match_their_spelling(tmp_path: Path) -> None:
    gold = write_strings(tmp_path / "gold", [(7, "city", ["Rome"])])
    rows = [annotation("7", "city", [entity("Rome", 0)])]
    assert evaluate(write_annotations(tmp_path / "annotations", rows), gold)["official"]["f1"] == pytest.approx(1.0)


def test_the_by_column_comes_from_the_gold_or_else_from_the_annotations(tmp_path: Path) -> None:
    for domain, doc_id in (("ai", "1"), ("law", "2"), ("law", "3")):
        write_strings(tmp_path / "gold" / f"domain={domain}" / doc_id, [(doc_id, "city", ["Rome"])])
    plain = write_strings(tmp_path / "plain", [(doc_id, "city", ["Rome"]) for doc_id in "123"])
    rows = [annotation(i, "city", [entity("Rome", 0)], domain=domain) for i, domain in (("1", "ai"), ("2", "law"))]
    annotations = write_annotations(tmp_path / "annotations", rows)
    of_gold = evaluate(annotations, str(tmp_path / "gold"), by="domain")["by"]
    assert {name: scores["official"]["counts"]["gold"] for name, scores in of_gold.items()} == {"ai": 1, "law": 2}
    of_rows = evaluate(annotations, plain, by="domain")["by"]
    assert {name: scores["official"]["counts"]["gold"] for name, scores in of_rows.items()} == {
        "(none)": 1,
        "ai": 1,
        "law": 1,
    }
    with pytest.raises(ConfigError, match="--by year: no such column"):
        evaluate(annotations, plain, by="year")


def test_scores_by_type_add_up_to_the_whole(tmp_path: Path) -> None:
    generator = random.Random(3)
    words = ["Rome", "Oslo", "Bern", "Ada", "Bob"]
    gold, rows = [], []
    for doc_id, name in itertools.product("abcdef", ("city", "person", "river")):
        gold.append((doc_id, name, generator.sample(words, 2)))
        rows.append(annotation(doc_id, name, [entity(word, 0) for word in generator.sample(words, 2)]))
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold))
    for count in ("correct", "predicted", "gold"):
        parts = [one["official"]["counts"][count] for one in scores["by_type"].values()]
        assert sum(parts) == scores["official"]["counts"][count]
    low, high = scores["official"]["intervals"]["f1"]
    assert low <= scores["official"]["f1"] <= high
    assert scores["macro_f1"]["official"] == pytest.approx(
        sum(one["official"]["f1"] for one in scores["by_type"].values()) / 3
    )


def test_the_worst_errors_name_mentions_and_the_type_they_belong_to(tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome", "the Hague"]), ("1", "person", ["Ada"]), ("2", "city", ["Oslo"])]
    rows = [
        annotation("1", "city", [entity("Ada", 0), entity("Paris", 9)]),
        annotation("1", "person", [entity("Ada", 0)]),
        annotation("2", "city", []),
    ]
    worst = evaluate(write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold))["worst"]
    assert worst["pairs"] == [
        {
            "doc_id": "1",
            "entity_type": "city",
            "outcome": "found",
            "errors": 4,
            "missed": ["Rome", "the Hague"],
            "spurious": [{"text": "Ada", "gold_types": ["person"]}, {"text": "Paris", "gold_types": []}],
        },
        {"doc_id": "2", "entity_type": "city", "outcome": "none", "errors": 1, "missed": ["Oslo"], "spurious": []},
    ]
    assert worst["documents"] == [{"doc_id": "1", "errors": 4}, {"doc_id": "2", "errors": 1}]
    assert [(one["entity_type"], one["missed"], one["spurious"]) for one in worst["types"]] == [("city", 3, 2)]
    assert worst["confusions"] == [
        {"answered": "city", "gold": "person", "n": 1, "examples": [{"text": "Ada", "n": 1}]}
    ]


def test_confidence_is_judged_per_mention_and_for_none(tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome"]), ("2", "city", []), ("3", "city", ["Oslo"])]
    rows = [
        annotation("1", "city", [entity("Rome", 0, 0.9), entity("Rome", 20, 0.9), entity("Bob", 9, 0.25)], score=0.2),
        annotation("2", "city", [], score=0.75),
        annotation("3", "city", [], score=0.5),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold))
    confidence = scores["confidence"]
    assert (confidence["mentions"]["n"], confidence["mentions"]["auc"]) == (2, 1.0)
    assert (confidence["none"]["n"], confidence["none"]["auc"]) == (2, 1.0)
    assert confidence["none"]["by_type"] == {"city": {"n": 2, "right": 0.5, "auc": 1.0}}


def test_only_the_types_that_were_named_are_scored(tmp_path: Path) -> None:
    gold = [("1", "city", ["Rome"]), ("1", "person", ["Ada"]), ("2", "person", ["Bob"])]
    rows = [annotation("1", "city", [entity("Rome", 0)]), annotation("1", "person"), annotation("2", "person")]
    places = write_annotations(tmp_path / "annotations", rows), write_strings(tmp_path / "gold", gold)
    scores = evaluate(*places, types=["city"])
    assert scores["official"]["counts"] == {"correct": 1, "predicted": 1, "gold": 1}
    assert (scores["documents"], list(scores["by_type"])) == (1, ["city"])
    assert scores["pairs"]["annotations_without_gold"] == 2
    with pytest.raises(ConfigError, match="--types town: not in the gold, which has city, person"):
        evaluate(*places, types=["city", "town"])


def test_without_confidences_nothing_is_said_about_them(tmp_path: Path) -> None:
    scores = evaluate(
        write_annotations(tmp_path / "annotations", [annotation("1", "city")]),
        write_strings(tmp_path / "gold", [("1", "city", [])]),
    )
    assert scores["confidence"] is None


def test_annotations_of_a_pair_that_stand_twice_are_refused(tmp_path: Path) -> None:
    rows = [annotation("1", "city", part="a"), annotation("1", "city", part="b")]
    gold = write_strings(tmp_path / "gold", [("1", "city", [])])
    with pytest.raises(ConfigError, match="document 1, type city occurs more than once"):
        evaluate(write_annotations(tmp_path / "annotations", rows), gold)


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([("1", "city", []), ("1", "city", ["Rome"])], "occurs more than once"),
        ([(None, "city", [])], "has no doc_id"),
        ([], "holds no rows"),
    ],
)
def test_unusable_gold_is_refused_with_a_reason(
    tmp_path: Path, gold: list[tuple[str, str, list[str]]], message: str
) -> None:
    annotations = write_annotations(tmp_path / "annotations", [annotation("1", "city")])
    with pytest.raises(ConfigError, match=message):
        evaluate(annotations, write_strings(tmp_path / "gold", gold))


def test_absent_paths_and_columns_are_named(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "annotations", [annotation("1", "city")])
    with pytest.raises(ConfigError, match=r"gold .*nowhere: is not there"):
        evaluate(annotations, str(tmp_path / "nowhere"))
    pq.write_table(pa.table({"doc_id": ["1"], "label": ["city"]}), tmp_path / "bad.parquet")
    with pytest.raises(ConfigError, match="has no column entity_type, entities; columns there: doc_id, label"):
        evaluate(annotations, str(tmp_path / "bad.parquet"))
    with pytest.raises(ConfigError, match="has no column id"):
        evaluate(annotations, write_strings(tmp_path / "gold", [("1", "city", [])]), id_column="id")


def test_scores_are_json_and_print_as_tables(tmp_path: Path) -> None:
    gold = write_spans(tmp_path / "gold", [("1", "[city]", [("Rome", 0)]), ("2", "[city]", [])])
    rows = [
        annotation("1", "[city]", [entity("Rome", 0, 0.5)], score=0.5, domain="[bold]"),
        annotation("2", "[city]", [entity("Oslo", 0, 0.1)], score=0.5, domain="[bold]"),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), gold, by="domain")
    assert json.loads(json.dumps(scores)) == scores
    console = Console(width=80, record=True)
    print_scores(scores, console)
    shown = console.export_text()
    for part in ("official", "strict spans", "relaxed spans", "[city]", "[bold]", "AUC", "Oslo"):
        assert part in shown


def test_every_path_may_be_a_url(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    rows = [annotation("1", "city", [entity("Rome", 0)], domain="x")]
    memory.put(write_annotations(tmp_path / "annotations", rows), "/evaluation/annotations", recursive=True)
    memory.put(write_strings(tmp_path / "gold", [("1", "city", ["Rome"])]), "/evaluation/gold", recursive=True)
    memory.pipe_file("/evaluation/gold.conll", b"Rome B-city\n")
    try:
        scores = evaluate("memory://evaluation/annotations", "memory://evaluation/gold", by="domain")
        assert scores["by"]["x"]["official"]["f1"] == pytest.approx(1.0)
        assert read_gold("memory://evaluation/gold.conll").has_spans
    finally:
        memory.rm("/evaluation", recursive=True)
