"""Scores from columns are those of a loop over rows; gold and annotations must count in the same text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import row_by_row
from tests.support.evaluation_data import annotation, entity, write_annotations, write_spans, write_strings
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation import evaluate, import_gold, print_scores

_WORDS = ["Rome", "the Rome", "Oslo", "ada", "x]", "東京", ""]
_ENTITIES = st.lists(
    st.builds(entity, st.sampled_from(_WORDS), st.sampled_from([None, 0, 9, 30]), st.sampled_from([None, 0.25, 0.5])),
    max_size=4,
)
_ROWS = st.builds(
    dict,
    entities=_ENTITIES,
    outcome=st.sampled_from(["found", "found", "none", "truncated", "engine_error"]),
    raw_output=st.sampled_from([None, None, None, '["Rome", "Oslo"]', "['ada']", '[{"start": 0, "output": "[]"}]']),
    score=st.sampled_from([None, 0.5, 0.75]),
)
_GOLD = st.lists(st.tuples(st.sampled_from(_WORDS[:6]), st.sampled_from([0, 9, 50])), max_size=3)
_PAIRS = [(doc, name) for doc in "abc" for name in ("city", "person")]


@given(
    gold=st.dictionaries(st.sampled_from(_PAIRS), _GOLD, min_size=1),
    rows=st.dictionaries(st.sampled_from(_PAIRS), _ROWS, min_size=1),
    places=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_columns_give_the_scores_of_a_loop_over_rows(
    tmp_path_factory: pytest.TempPathFactory, gold: dict[Any, Any], rows: dict[Any, Any], places: bool
) -> None:
    folder = tmp_path_factory.mktemp("data")
    if not set(gold) & set(rows):
        return
    written = write_annotations(folder / "a", [annotation(*key, domain=key[0], **row) for key, row in rows.items()])
    write = write_spans if places else write_strings
    values = {key: one if places else [text for text, _ in one] for key, one in gold.items()}
    scores = evaluate(written, write(folder / "g", [(*key, one) for key, one in values.items()]), by="domain")
    reference = row_by_row.Gold()
    for (doc_id, name), one in values.items():
        items = [{"text": text, "start": at, "end": at + len(text)} for text, at in one] if places else one
        reference.documents.setdefault(doc_id, {})[name] = row_by_row.gold_answer(items)
    tally = row_by_row.Tally(reference)
    for (doc_id, name), row in rows.items():
        if doc_id in reference.documents:
            tally.add(row_by_row.Row(doc_id, name, group=doc_id, **row))
        else:
            tally.without_gold += 1
    expected = tally.scores(with_groups=True)
    if scores["coordinates"]["contradicting"]:
        assert scores["strict"] is None
        return
    for name in ("documents", "pairs", "macro_f1", "confidence"):
        assert scores[name] == pytest.approx(expected[name]) if name == "macro_f1" else scores[name] == expected[name]
    assert scores["outcomes"] == expected["outcomes"]
    for name in ("official", "strict", "relaxed"):
        assert _plain(scores[name]) == _plain(expected[name])
        for of in ("by_type", "by"):
            there = {key: _plain(one[name]) for key, one in scores[of].items()}
            assert there == {key: _plain(one[name]) for key, one in expected[of].items()}
        if expected["answered"]:
            assert _plain(scores["answered"][name]) == _plain(expected["answered"][name])
    for of in ("documents", "types", "confusions", "pairs"):
        assert sorted(map(_sorted, scores["worst"][of])) == sorted(map(_sorted, expected["worst"][of]))


def _plain(score: dict[str, Any] | None) -> Any:
    return score and {name: score[name] for name in ("precision", "recall", "f1", "counts")}


def _sorted(value: Any) -> str:
    """A value in words, lists of equally frequent mentions in any order."""
    if isinstance(value, dict):
        return str(sorted((key, _sorted(one)) for key, one in value.items()))
    return str(sorted(map(_sorted, value))) if isinstance(value, list) else str(value)


def test_gold_of_which_nothing_was_annotated_is_refused(tmp_path: Path) -> None:
    rows = write_annotations(tmp_path / "a", [annotation("doc-1", "city", [entity("Rome", 0)])])
    with pytest.raises(ConfigError, match=r"none of its 1 documents is in the annotations .*'1', there 'doc-1'"):
        evaluate(rows, write_strings(tmp_path / "ids", [("1", "city", ["Rome"])]))
    with pytest.raises(ConfigError, match=r"none of its entity types \(LOC\) was annotated .* which has city"):
        evaluate(rows, write_strings(tmp_path / "types", [("doc-1", "LOC", ["Rome"])]))
    gold = write_strings(tmp_path / "some", [("doc-1", "city", ["Rome"]), ("2", "city", [])])
    assert evaluate(rows, gold)["annotated_documents"] == 1


def test_mentions_of_another_text_are_located_in_the_gold_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.conll").write_text("# id = d\nThe O\nU.S. B-LOC\nArmy O\n, O\nU.S. B-LOC\n. O\nAda B-PER\n")
    text = "The U.S. Army, U.S. Ada"
    rows = [
        annotation("d", "LOC", [entity("U.S.", 4), entity("U.S.", 15)]),
        annotation("d", "PER", [entity("Ada", text.index("Ada"))]),
    ]
    scores = evaluate(write_annotations(tmp_path / "a", rows), str(tmp_path / "g.conll"))
    assert scores["strict"]["f1"] == pytest.approx(1.0)
    assert scores["coordinates"] == {"aligned": 1, "contradicting": 0, "example": None}
    print_scores(scores)
    shown = capsys.readouterr().out
    assert "1 documents were annotated in another text" in shown
    assert "tokens in column 1, tags in column 2 of 2" in shown


@pytest.mark.parametrize(
    ("gold", "found", "says"),
    [
        ([("Ada", 0)], [entity("Bob", 0)], "'Bob' at 0 to 3 against 'Ada' at 0 to 3"),
        ([("Ada", 0)], [entity("da met", 0)], "'da met' at 0 to 6 against 'Ada' at 0 to 3"),
        ([("Ada", 0)], [entity("Ada", 4)], "'Ada' at 4 to 7 against 'Ada' at 0 to 3"),
    ],
)
def test_two_coordinate_systems_are_never_scored_strictly(
    tmp_path: Path,
    gold: list[tuple[str, int]],
    found: list[dict[str, Any]],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = write_annotations(tmp_path / "a", [annotation("d", "PER", found)])
    scores = evaluate(rows, write_spans(tmp_path / "g", [("d", "PER", gold)]))
    assert (scores["strict"], scores["relaxed"]) == (None, None)
    assert scores["coordinates"]["example"] == {"doc_id": "d", "says": says}
    print_scores(scores)
    assert "no span scores: in 1 documents gold and annotations count in different texts" in capsys.readouterr().out


def test_places_that_differ_in_one_text_are_no_contradiction(tmp_path: Path) -> None:
    rows = write_annotations(tmp_path / "a", [annotation("d", "PER", [entity("Ada", 0), entity("Byron", 4)])])
    scores = evaluate(rows, write_spans(tmp_path / "g", [("d", "PER", [("Ada Byron", 0), ("Bob", 20)])]))
    assert scores["strict"]["counts"] == {"correct": 0, "predicted": 2, "gold": 2}
    assert scores["relaxed"]["counts"]["correct"] == 1


def test_a_text_that_has_a_mention_less_often_is_another_text(tmp_path: Path) -> None:
    (tmp_path / "g.conll").write_text("# id = d\nAda B-PER\n")
    rows = [annotation("d", "PER", [entity("Ada", 3), entity("Ada", 9)])]
    scores = evaluate(write_annotations(tmp_path / "a", rows), str(tmp_path / "g.conll"))
    assert scores["strict"] is None
    assert scores["coordinates"]["contradicting"] == 1


def test_importing_says_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "g.jsonl").write_text('{"id": 1, "text": "Ada", "label": [[0, 3, "PER"]]}\n')
    imported = import_gold(str(tmp_path / "g.jsonl"), str(tmp_path / "c"), str(tmp_path / "gold"))
    assert imported["read"] == [f"{tmp_path}/g.jsonl: doccano"]
