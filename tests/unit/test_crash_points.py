"""Maintenance killed at every change that it makes to the file system, and then started again, or after others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as pads
import pytest

from tests.support.crash_points import dies_at, worlds
from tests.support.finished_run import finished_run, traces
from uniner_dist.cli.maintenance import run_erasure, run_prune
from uniner_dist.errors import StageError
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.run.run import load_run

GONE = ("Alba", "Paula", "Dario", "Edda")
#: Every so many changes of a command one is tried; CRASH_STEP=1 tries all of them.
STEP = int(os.environ.get("CRASH_STEP", "9"))


def _silent(line: str) -> None:
    """Say nothing."""


def _forget(workdir: str, *ids: str) -> Callable[[], object]:
    return lambda: run_erasure(workdir, ids or ("id-Alba", "id-Dario", "id-Edda"), None, _silent)


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path, str]:
    """A finished run: its folder, a copy of that, and its workdir."""
    run = finished_run(tmp_path / "world")
    shutil.copytree(tmp_path / "world", tmp_path / "template")
    return tmp_path / "world", tmp_path / "template", run.layout.workdir


def _check_rest(place: Path, workdir: str) -> None:
    """Nothing of the erased is anywhere; all of the others is where it was."""
    assert traces(place, GONE) == []
    rows = pads.dataset(place / "out", partitioning="hive", exclude_invalid_files=True).to_table()
    assert sorted(rows["doc_id"].to_pylist()) == ["id-Bruno", "id-Clara"]
    run = load_run(workdir)
    places = pads.dataset(run.layout.occurrences).to_table(columns=["document"])["document"].to_pylist()
    assert sorted(one["doc_id"] for one in places) == ["id-Bruno", "id-Clara"]
    with working_on(run):
        """No erasure is half done."""


def test_an_erasure_that_was_killed_anywhere_is_done_by_starting_it_again(world: tuple[Path, Path, str]) -> None:
    place, template, workdir = world
    for _ in worlds(template, place, _forget(workdir), STEP):
        _forget(workdir)()
        _check_rest(place, workdir)
    _check_rest(place, workdir)


def test_another_command_after_a_killed_erasure_loses_no_trace_of_it(world: tuple[Path, Path, str]) -> None:
    place, template, workdir = world
    others = (_forget(workdir, "id-Edda"), lambda: run_prune(workdir, 0, _silent))
    for point in worlds(template, place, _forget(workdir), 2 * STEP + 1):
        others[point % 2]()
        _forget(workdir)()
        assert traces(place, GONE) == []


def test_no_run_begins_after_an_erasure_that_was_killed(world: tuple[Path, Path, str]) -> None:
    place, template, workdir = world
    begun = 0
    for _ in worlds(template, place, _forget(workdir), 3 * STEP):
        if list((place / "out.work/forgetting").glob("*.json")):
            begun += 1
            with pytest.raises(StageError, match="an erasure was cut off"), working_on(load_run(workdir)):
                pass
    assert begun


def test_a_prune_that_was_killed_anywhere_is_finished(world: tuple[Path, Path, str]) -> None:
    place, template, workdir = world
    prune = lambda: run_prune(workdir, 0, _silent)  # noqa: E731
    for _ in worlds(template, place, prune, STEP):
        prune()
        names = {path.name for path in (place / "out.work/runs").glob("*/*")}
        assert names <= {"config.json", "footers.json", "holders", "occurrences", "prompts.json"}
        _forget(workdir)()
        assert traces(place, GONE) == []


def test_a_command_dies_where_it_is_told(tmp_path: Path) -> None:
    def command() -> None:
        (tmp_path / "one").write_text("")
        for name in ("two", "three"):
            (tmp_path / "one").with_name(name).write_text("")
            (tmp_path / name).rename(tmp_path / f"{name}.renamed")

    assert dies_at(1, command)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three", "two.renamed"]
    assert not dies_at(2, command)
