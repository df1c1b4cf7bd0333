"""Whether an output holds what a run would publish now, told from the marker alone."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.published import marker_of, published, run_id
from uniner_dist.run.publication_state import Claim, is_disturbed, is_outdated, is_up_to_date, runs_over
from uniner_dist.storage.control_files import Marker, PublishedRun
from uniner_dist.storage.filesystem import absolute, real_path
from uniner_dist.storage.marker import next_order

DEFAULTS = {"removed_documents": "corpus", "other_types": "keep"}


def _claim(corpus: str = "/c", state: str = "s1", types: str = "x", at: float = 1.0, **options: str) -> Claim:
    real = options.pop("real", corpus)
    return Claim(corpus, real, state, at, tuple(types.split(",")), **{**DEFAULTS, **options})


def _entry(claim: Claim, order: int, touched: tuple[str, ...] = (), met: tuple[str, ...] = ()) -> PublishedRun:
    runs = [tuple(map(run_id, names)) for names in (touched, (*met, *touched))]
    return PublishedRun(**asdict(claim), order=order, touched=runs[0], met=runs[1])


def _after(later: PublishedRun, own: Claim) -> Marker:
    return marker_of(a=_entry(own, 1), b=later)


def test_rows_of_a_corpus_are_those_of_runs_over_it_or_a_part_of_it() -> None:
    marker = marker_of(a=_entry(_claim("/c"), 1), b=_entry(_claim("/c/day=1"), 2), c=_entry(_claim("/c2"), 3))
    assert runs_over(marker, _claim("/c")) == [run_id("a"), run_id("b")]
    assert runs_over(marker, _claim("/c/day=1")) == [run_id("b")]
    assert runs_over(marker, _claim("/")) == [run_id(name) for name in "abc"]
    assert next_order(marker) == 4


def test_a_published_run_stands_until_something_it_should_hold_changes() -> None:
    own = _claim(types="x,y")
    assert is_up_to_date(marker_of(a=_entry(own, 1)), run_id("a"), own)
    assert not is_up_to_date(marker_of(), run_id("a"), own)
    assert not is_up_to_date(None, run_id("a"), own)
    for later, expected in (
        (_entry(_claim("/other", "s2"), 2), True),
        (_entry(_claim("/other", "s2"), 2, touched=("a",)), False),  # it took or removed rows of this run
        (_entry(_claim(types="z"), 2), True),  # one more type for the same documents
        (_entry(_claim(state="s2", types="z"), 2), False),  # other documents of the same corpus
        (_entry(_claim("/c/day=1", "s2"), 2), False),
        (_entry(_claim(state="s2"), 0), True),  # earlier
    ):
        assert is_up_to_date(_after(later, own), run_id("a"), own) is expected, later


@pytest.mark.parametrize(("before", "now", "expected"), [("keep", "corpus", False), ("corpus", "keep", True)])
def test_stricter_removal_than_published_means_publishing_again(before: str, now: str, expected: bool) -> None:
    marker = marker_of(a=_entry(_claim(removed_documents=before), 1))
    assert is_up_to_date(marker, run_id("a"), _claim(removed_documents=now)) is expected
    assert not is_disturbed(marker, run_id("a"), _claim(removed_documents=now)), "nobody else had a part in it"


def test_a_run_that_wants_no_other_types_falls_when_they_come() -> None:
    own = _claim(other_types="remove")
    assert not is_up_to_date(marker_of(a=_entry(_claim(), 1)), run_id("a"), own)
    for later, expected in (
        (_entry(_claim("/d", types="z"), 2, met=("a",)), False),
        (_entry(_claim("/d", types="x"), 2, met=("a",)), True),
        (_entry(_claim("/d", types="z"), 2), True),
    ):
        assert is_up_to_date(_after(later, own), run_id("a"), own) is expected
        assert is_disturbed(_after(later, own), run_id("a"), own) is not expected


def test_a_corpus_alone_in_its_output_falls_with_any_other_documents() -> None:
    own = _claim(removed_documents="all")
    assert not is_up_to_date(_after(_entry(_claim("/other", "s2", "z"), 2), own), run_id("a"), own)
    assert is_up_to_date(_after(_entry(_claim(types="z"), 2), own), run_id("a"), own)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (_claim(state="s2", at=2), True),
        (_claim(state="s2", types="z", at=2), True),
        (_claim(state="s2", at=0.5), False),
        (_claim(types="z", at=2), False),
        (_claim(types="x", at=2), True),  # another model, say, for the same cells
        (_claim("/c/day=1", "s2", at=2), True),
        (_claim("/", "s2", at=2), True),
        (_claim("/other", "s2", at=2), False),
    ],
)
def test_a_run_is_outdated_when_the_corpus_was_seen_later_and_published(later: Claim, expected: bool) -> None:
    marker = marker_of(b=_entry(later, 7))
    assert is_outdated(marker, run_id("a"), _claim()) is expected
    assert not is_outdated(marker_of(a=_entry(later, 7)), run_id("a"), _claim()), "a run is not outdated by itself"


def test_entries_of_older_versions_are_read_by_their_labels_and_paths() -> None:
    a, b = published("/c", 1, "x"), published("/c", 2, "z")
    assert is_up_to_date(marker_of(a=a, b=b), run_id("a"), _claim())
    assert not is_up_to_date(marker_of(a=a, b=b, d=published("/c/p", 3, "x")), run_id("a"), _claim())
    assert not is_outdated(marker_of(a=a, b=b), run_id("e"), _claim())


def test_one_corpus_under_two_names_is_one(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "deep/er").mkdir(parents=True)
    os.symlink(tmp_path / "c", tmp_path / "link")
    os.symlink(tmp_path / "deep/er", tmp_path / "deeper")
    place = str(tmp_path / "c")
    for spelled in ("c", "c/", "c/.", "./c", "deep/../c", "deep//..//c", "deeper/../../c"):
        assert absolute(f"{tmp_path}/{spelled}") == place, spelled
    assert absolute(f"{tmp_path}/link") == f"{tmp_path}/link", "a link may point to another folder tomorrow"
    assert real_path(f"{tmp_path}/link/x") == f"{place}/x"
    assert absolute("s3://bucket/a//b/") == "s3://bucket/a//b", "another key than a/b"
    linked = _claim(f"{tmp_path}/link", real=place)
    assert linked.covers(_claim(place))
    assert _claim(place).covers(linked)
    assert not linked.covers(_claim("/other"))
