"""Journals count only if the output's marker names them: what was planned for another state is never applied."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from tests.support.crash_points import worlds
from tests.support.published import marker_of, published, run_id, write_marker
from uniner_dist.annotations.journal import carry_out, changes_by_folder, finish_begun
from uniner_dist.errors import StageError
from uniner_dist.storage.control_files import Journal, write_control
from uniner_dist.storage.filesystem import find_files
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.marker import MarkerVersion, read_marker, read_marker_version

EVERYBODY = ("1", "2", "3", "4")


def _put(path: str, ids: tuple[str, ...], run: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"doc_id": list(ids), "run_id": [run] * len(ids)}), path)
    return path


@pytest.fixture
def output(tmp_path: Path) -> str:
    """Published by run o: four documents in one file of each of two folders."""
    for day in "xy":
        _put(f"{tmp_path}/world/out/day={day}/part-o.parquet", EVERYBODY, run_id("o"))
    write_marker(f"{tmp_path}/world/out", marker_of(c=published()).model_copy(update={"partition_by": ("day",)}))
    return f"{tmp_path}/world/out"


def _plan(output: str, name: str, own: str, day: str = "x", listed: bool = True) -> RunLayout:
    """A run that replaces one document: its own row, a file with the rest, and the journal.

    Args:
        listed: whether the marker lists it afterwards, unlike an erasure.
    """
    layout = RunLayout(output.replace("/out", "/work"), run_id(name), token=1)
    rest = tuple(one for one in EVERYBODY if one != own)
    new = _put(f"{layout.staging}/new.parquet", (own,), run_id(name))
    carried = _put(f"{layout.rewritten}/rest.parquet", rest, run_id("o"))
    add = {f"day={day}/part-{name}-0.parquet": new, f"day={day}/part-{name}-1.parquet": carried}
    changes = changes_by_folder(add, [f"day={day}/part-o.parquet"])
    write_control(
        layout.publication, Journal(run_id=run_id(name), changes=changes, entry=published(order=9) if listed else None)
    )
    return layout


def _marker(output: str) -> MarkerVersion:
    found = read_marker_version(output)
    assert found is not None
    return found


def _rows(output: str, day: str = "x") -> Counter[tuple[str, str]]:
    table = pads.dataset(f"{output}/day={day}").to_table()
    return Counter(zip(table["doc_id"].to_pylist(), (one[0] for one in table["run_id"].to_pylist()), strict=True))


def _free() -> None:
    """Nobody has taken over."""


@pytest.mark.parametrize("listed", [True, False])
def test_a_stale_journal_is_not_applied_over_a_newer_publication(output: str, listed: bool) -> None:
    """a died between its journal and the marker; b published meanwhile, whose rest holds a's document as it was.

    An erasure is listed nowhere: but for its nonce the marker is then what it was.
    """
    a, planned_for = _plan(output, "a", own="1"), _marker(output)
    b = _plan(output, "b", own="2", listed=listed)
    carry_out(output, _marker(output), b.publication, b.workdir, "000001", _free)
    after_b = Counter({("1", "o"): 1, ("2", "b"): 1, ("3", "o"): 1, ("4", "o"): 1})
    assert _rows(output) == after_b
    now = finish_begun(output, _marker(output), a.workdir, "000002", _free)
    assert _rows(output) == after_b, "the marker does not name the journal of a"
    assert run_id("a") not in now.marker.runs
    with pytest.raises(StageError, match="was changed by another process"):
        carry_out(output, planned_for, a.publication, a.workdir, "000002", _free)
    assert _rows(output) == after_b


def _publish(output: str, layout: RunLayout) -> Callable[[], object]:
    return lambda: carry_out(output, _marker(output), layout.publication, layout.workdir, "000001", _free)


def test_a_publication_that_was_killed_anywhere_is_finished_by_the_next(tmp_path: Path, output: str) -> None:
    """Another run, over another folder of the output, comes first."""
    layouts = [_plan(output, "a", own="1"), _plan(output, "b", own="2", day="y")]
    shutil.copytree(tmp_path / "world", tmp_path / "template")
    done = 0
    for _ in worlds(tmp_path / "template", tmp_path / "world", _publish(output, layouts[0])):
        named = _marker(output).marker.publishing is not None or run_id("a") in _marker(output).marker.runs
        state = finish_begun(output, _marker(output), layouts[1].workdir, "000002", _free)
        carry_out(output, state, layouts[1].publication, layouts[1].workdir, "000002", _free)
        first = ("1", "a") if named else ("1", "o")
        assert _rows(output) == Counter([first, *((one, "o") for one in "234")])
        assert _rows(output, "y") == Counter([("2", "b"), *((one, "o") for one in "134")])
        marker = read_marker(output)
        assert marker is not None
        assert ((run_id("a") in marker.runs), marker.publishing) == (named, None)
        assert len(find_files(output, ".parquet")) == (4 if named else 3)
        assert not list((tmp_path / "world").glob("out.publishing-*")), "nothing is left beside it"
        done += named
    assert done >= 3, "before the exchange, after it, and before the marker"
