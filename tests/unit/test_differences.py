"""What changed between two answers, and how it is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from uniner_dist.comparison.figures import ComparedDocuments, ComparedSide, Comparison, ShownMention, TallySummary
from uniner_dist.comparison.show import print_comparison
from uniner_dist.comparison.tally import EXAMPLES, Tally, bucket_of
from uniner_dist.core.differences import Cell, Mention, compare_mentions
from uniner_dist.storage.control_files import record_values

ADA, BOB = ("Ada", 0, 3), ("Bob", 8, 11)


def test_equal_answers_keep_everything_in_whatever_order() -> None:
    changes = compare_mentions([ADA, BOB], [BOB, ADA, ADA])
    assert (changes.kept, changes.none) == (2, True)


def test_a_mention_that_only_one_side_has_appeared_or_vanished() -> None:
    changes = compare_mentions([ADA], [BOB])
    assert (changes.vanished, changes.appeared) == ([ADA], [BOB])
    assert not changes.moved
    assert not changes.borders


def test_the_same_text_at_another_place_moved_over_anothers_place() -> None:
    shifted = [("Ada", 8, 11), ("Bob", 16, 19)]
    changes = compare_mentions([ADA, BOB], shifted)
    assert changes.moved == [(ADA, shifted[0]), (BOB, shifted[1])]
    assert not changes.appeared
    assert not changes.vanished


def test_a_mention_that_is_found_in_the_text_now_moved() -> None:
    changes = compare_mentions([("Ada", None, None)], [ADA])
    assert changes.moved == [(("Ada", None, None), ADA)]


def test_overlapping_mentions_have_other_borders_each_paired_once() -> None:
    old, new = ("Paris, France", 0, 13), [("Paris", 0, 5), ("France", 7, 13)]
    changes = compare_mentions([old], new)
    assert changes.borders == [(old, new[0])]
    assert changes.appeared == [new[1]]


def test_occurrences_beyond_those_of_the_other_side_appeared() -> None:
    places: list[Mention] = [("Ada", start, start + 3) for start in (0, 20, 40)]
    changes = compare_mentions(places[:1], [places[1], places[2]])
    assert changes.moved == [(places[0], places[1])]
    assert changes.appeared == [places[2]]


mentions = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(1, 4)).map(lambda m: (m[0], m[1], m[1] + m[2]))
    | st.sampled_from("abc").map(lambda text: (text, None, None)),
    max_size=8,
)


@given(mentions, mentions)
def test_every_mention_is_counted_exactly_once_on_its_side(before: list[Mention], after: list[Mention]) -> None:
    changes = compare_mentions(before, after)
    pairs = [*changes.moved, *changes.borders]
    olds = [*(old for old, _ in pairs), *changes.vanished]
    news = [*(new for _, new in pairs), *changes.appeared]
    assert sorted(map(str, olds)) == sorted(map(str, set(before) - set(after)))
    assert sorted(map(str, news)) == sorted(map(str, set(after) - set(before)))
    assert changes.kept == len(set(before) & set(after))
    assert all(old[0] == new[0] for old, new in changes.moved)


def _cells(*mentions: Mention, outcome: str | None = None) -> Cell:
    return Cell(outcome or ("found" if mentions else "none"), mentions)


CELLS: list[tuple[str, str, Cell | None, Cell | None, str | None]] = [
    ("1", "person", _cells(ADA, BOB), _cells(ADA, BOB), "x"),
    ("2", "person", _cells(ADA), _cells(), "x"),
    ("3", "person", _cells(ADA), _cells(ADA, BOB), "y"),
    ("1", "place", _cells(), _cells(outcome="truncated"), "x"),
    ("2", "place", _cells(), None, "x"),
    ("4", "place", None, _cells(), "y"),
]


def _tally(cells: Sequence[tuple[str, str, Cell | None, Cell | None, str | None]]) -> Tally:
    tally = Tally()
    for cell in cells:
        tally.add(*cell)
    return tally


def test_rates_are_of_cells_on_both_sides_and_others_are_counted() -> None:
    summary = _tally(CELLS).summary()
    assert (summary.cells, summary.same, summary.only_before, summary.only_after) == (4, 1, 1, 1)
    assert summary.agreement == 1 / 4
    assert summary.f1 == pytest.approx(2 * 3 / (4 + 4))
    person, place = summary.by_type["person"], summary.by_type["place"]
    assert (person.kept, person.vanished, person.appeared) == (3, 1, 1)
    assert (place.agreement, place.f1) == (0.0, None), "nothing is listed on either side"
    assert summary.outcomes == {"found → none": 1, "none → truncated": 1}
    assert place.outcomes == {"none → truncated": 1}
    assert {name: figures.cells for name, figures in (summary.by or {}).items()} == {"x": 3, "y": 1}
    assert summary.intervals.agreement is not None
    low, high = summary.intervals.agreement
    assert 0 <= low <= 1 / 4 <= high <= 1
    assert TallySummary.model_validate_json(json.dumps(record_values(summary))) == summary


def test_counting_in_parts_and_adding_up_gives_the_same() -> None:
    parts = [_tally(CELLS[:2]), _tally(CELLS[2:5]), _tally(CELLS[5:])]
    equal, total = Tally(), Tally()
    equal.add_equal("person", "x", bucket_of("1"), cells=1, mentions=2)
    rows = [row for part in [equal, *parts] for row in part.to_arrow().to_pylist()]
    for row in rows:
        total.add_row(row)
    assert total.summary() == _tally([CELLS[0], *CELLS]).summary()


def test_examples_are_few_and_do_not_depend_on_the_order() -> None:
    cells = [(str(i), "person", _cells(ADA), _cells(), None) for i in range(50)]
    forward, backward = _tally(cells).summary(), _tally(cells[::-1]).summary()
    assert forward.examples == backward.examples
    vanished = forward.examples["person"]["vanished"]
    assert len(vanished) == EXAMPLES
    assert vanished[0].mentions == (ShownMention(text="Ada", start=0, end=3),)


def test_nothing_to_compare_has_no_rates() -> None:
    summary = Tally().summary()
    assert (summary.agreement, summary.f1, summary.by) == (None, None, None)
    assert Tally().to_arrow().num_rows == 0


def test_the_tables_show_rates_changes_and_examples() -> None:
    console = Console(record=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115
    side = ComparedSide(path="a [bold]", run="run1")
    documents = ComparedDocuments(both=3, only_before=0, only_after=1)
    summary = dict(_tally(CELLS).summary())
    comparison = Comparison(before=side, after=side, by_column="domain", documents=documents, **summary)
    print_comparison(comparison, console)
    text = console.export_text()
    for words in ("a [bold] (run run1)", "1 only after", "0.250", "found → none", "Ada (0–3)", "Agreement by domain"):
        assert words in text
