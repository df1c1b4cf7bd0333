"""What an erasure visits: everything that ever shared answers with a workdir, and a name for what is out of reach."""

from __future__ import annotations

import shutil
from pathlib import Path

from uniner_dist.maintenance.scope import find_scope
from uniner_dist.run.registry import entry_of_store, entry_of_workdir, register, stores_of, workdirs_of
from uniner_dist.storage.filesystem import exists, remove


def _places(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) for name in names]


def test_workdirs_and_stores_remember_each_other(tmp_path: Path) -> None:
    w1, w2, own, shared = _places(tmp_path, "w1", "w2", "w1/store", "shared")
    for workdir, store in ((w1, own), (w1, shared), (w2, shared), (w1, own)):
        register(workdir, store)
    assert stores_of(w1) == sorted([own, shared])
    assert workdirs_of(shared) == [w1, w2]
    assert stores_of(str(tmp_path / "nowhere")) == []


def test_everything_that_hangs_together_is_visited_once_from_any_end(tmp_path: Path) -> None:
    w1, w2, w3, apart, one, other = _places(tmp_path, "w1", "w2", "w3", "apart", "one", "other")
    for workdir, store in ((w1, one), (w2, one), (w2, other), (w3, other), (apart, f"{apart}/store")):
        register(workdir, store)
    for start in (w1, w2, w3):
        scope = find_scope(start)
        assert scope.workdirs[0] == start
        assert sorted(scope.workdirs) == [w1, w2, w3]
        assert sorted(scope.stores) == [one, other]
        assert not scope.unreachable
    assert find_scope(apart).workdirs == [apart]


def test_what_is_known_by_name_only_is_named_until_its_entry_is_removed(tmp_path: Path) -> None:
    w1, w2, shared, own = _places(tmp_path, "w1", "w2", "shared", "w2/store")
    for workdir, store in ((w1, shared), (w2, shared), (w2, own)):
        register(workdir, store)
    shutil.rmtree(own)
    scope = find_scope(w1)
    assert scope.workdirs == [w1, w2]
    [line] = scope.unreachable
    assert line.startswith(f"store {own} is not there")
    assert entry_of_store(w2, own) in line
    shutil.rmtree(w2)
    [line] = find_scope(w1).unreachable
    assert line.startswith(f"workdir {w2} is not there")
    assert exists(entry_of_workdir(shared, w2))
    remove(entry_of_workdir(shared, w2))
    assert not find_scope(w1).unreachable


def test_a_gate_inside_of_a_run_is_no_workdir_of_its_own(tmp_path: Path) -> None:
    w1, gate, shared = _places(tmp_path, "w1", "w1/runs/abc/gates/g/work", "shared")
    register(w1, shared)
    register(gate, shared)
    shutil.rmtree(tmp_path / "w1/runs")
    scope = find_scope(w1)
    assert (scope.workdirs, scope.unreachable) == ([w1], [])


def test_a_workdir_under_another_name_is_the_same_one(tmp_path: Path) -> None:
    w1, shared = _places(tmp_path, "w1", "shared")
    register(w1, shared)
    (tmp_path / "link").symlink_to(w1)
    register(str(tmp_path / "link"), shared)
    for start in (w1, str(tmp_path / "link")):
        scope = find_scope(start)
        assert (scope.workdirs, scope.unreachable) == ([start], [])
