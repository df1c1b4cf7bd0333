"""Changing the files of an output: by exchange on a local disk, file by file elsewhere, and again after a crash."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.support.crash_points import worlds
from uniner_dist.errors import RunHeldError, StageError
from uniner_dist.storage import commit
from uniner_dist.storage.commit import apply_change
from uniner_dist.storage.control_files import FolderChange
from uniner_dist.storage.filesystem import list_names
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.place_layout import OutputLayout

OLD, KEPT, NEW, OTHER = (f"part-{name}.parquet" for name in ("old", "kept", "new", "other"))


def _put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for name in ("old", "kept"):
        _put(tmp_path / "out" / "a=1" / f"part-{name}.parquet", name)
    _put(tmp_path / "out" / "a=2" / "part-other.parquet", "other")
    return tmp_path / "out"


def _change(tmp_path: Path) -> FolderChange:
    return FolderChange(folder="a=1", add={NEW: _put(tmp_path / "staged" / "x", "new")}, remove=(OLD,))


@pytest.mark.parametrize("exchange", [True, False])
def test_folder_has_old_or_new_content_and_a_second_apply_changes_nothing(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(commit, "_exchange", lambda one, other: False)
    change = FolderChange.model_validate_json(_change(tmp_path).model_dump_json())
    for _ in range(2):
        apply_change(str(output), change, str(tmp_path / "work"))
        assert _content(output) == {f"a=1/{NEW}": "new", f"a=1/{KEPT}": "kept", f"a=2/{OTHER}": "other"}


def test_half_done_change_is_completed(tmp_path: Path, output: Path) -> None:
    _put(output / "a=1" / NEW, "new")
    apply_change(str(output), _change(tmp_path), str(tmp_path / "work"))
    assert _content(output) == {f"a=1/{NEW}": "new", f"a=1/{KEPT}": "kept", f"a=2/{OTHER}": "other"}


def test_new_folder_appears_and_an_emptied_one_goes(tmp_path: Path, output: Path) -> None:
    new = FolderChange(folder="a=3/b=x%20y", add={NEW: _put(tmp_path / "staged" / "x", "new")})
    apply_change(str(output), new, str(tmp_path / "work"))
    apply_change(str(output), FolderChange(folder="a=2", remove=(OTHER,)), str(tmp_path / "work"))
    assert _content(output) == {f"a=1/{OLD}": "old", f"a=1/{KEPT}": "kept", f"a=3/b=x%20y/{NEW}": "new"}
    assert not (output / "a=2").exists()


def test_output_itself_keeps_its_folders(tmp_path: Path, output: Path) -> None:
    _put(output / "part-empty.parquet", "")
    new = _put(tmp_path / "staged" / "x", "new")
    apply_change(
        str(output), FolderChange(folder="", add={NEW: new}, remove=("part-empty.parquet",)), str(tmp_path / "w")
    )
    assert set(_content(output)) == {f"a=1/{OLD}", f"a=1/{KEPT}", f"a=2/{OTHER}", NEW}


def test_object_store_gets_new_files_before_old_ones_go() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({f"/out/a=1/{OLD}": b"old", f"/out/a=1/{KEPT}": b"kept", "/staged/x": b"new"})
    change = FolderChange(folder="a=1", add={NEW: "memory://staged/x"}, remove=(OLD,))
    for _ in range(2):
        apply_change("memory://out", change, "memory://work")
        assert sorted(store.find("/out")) == [f"/out/a=1/{KEPT}", f"/out/a=1/{NEW}"]


@pytest.mark.parametrize("kind", ["local", "objects"])
def test_an_old_file_is_there_until_the_new_ones_are(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Where folders cannot be exchanged, a reader may see a row twice and never misses one."""
    target = str(output)
    if kind == "objects":
        target = f"memory://{tmp_path.name}/out"
        for name in ("old", "kept"):
            fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/out/a=1/part-{name}.parquet", b"")
    seen: list[set[str]] = []
    real: Any = vars(commit)["copy_file"]

    def copy(source: str, to: str) -> None:
        seen.append(set(list_names(f"{target}/a=1")))
        real(source, to)
        seen.append(set(list_names(f"{target}/a=1")))

    monkeypatch.setattr(commit, "_exchange", lambda one, other: False)
    monkeypatch.setattr(commit, "copy_file", copy)
    apply_change(target, _change(tmp_path), str(tmp_path / "work"))
    assert seen == [{OLD, KEPT}, {OLD, KEPT, NEW}]
    assert list_names(f"{target}/a=1") == [KEPT, NEW]


def test_a_reader_meets_the_old_or_the_new_folder_at_every_change(tmp_path: Path, output: Path) -> None:
    change = _change(tmp_path)
    shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-template"))
    old, found = _content(output / "a=1"), []
    template = tmp_path.with_name(f"{tmp_path.name}-template")
    for _ in worlds(template, tmp_path, lambda: apply_change(str(output), change, str(tmp_path / "work"))):
        found.append(_content(output / "a=1"))
    new = _content(output / "a=1")
    assert new == {NEW: "new", KEPT: "kept"}
    assert [one for one in found if one not in (old, new)] == []
    assert old in found
    assert new in found
    shutil.rmtree(template)


def test_a_killed_command_that_is_started_again_leaves_no_empty_folder(tmp_path: Path, output: Path) -> None:
    _put(output / "b=1" / "c=1" / "part-gone.parquet", "gone")
    change = FolderChange(folder="b=1/c=1", remove=("part-gone.parquet",))
    template = tmp_path.with_name(f"{tmp_path.name}-template")
    shutil.copytree(tmp_path, template)
    killed = 0
    for _ in worlds(template, tmp_path, lambda: apply_change(str(output), change, str(tmp_path / "work"))):
        killed += 1
        apply_change(str(output), change, str(tmp_path / "work"))
        assert sorted(path.name for path in output.iterdir()) == ["a=1", "a=2"]
    assert killed >= 3  # before the exchange and before each folder goes
    shutil.rmtree(template)


def test_a_folder_that_another_process_changed_is_left_as_that_one_made_it(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended between its check and the exchange, while its successor published."""
    real = commit._exchange

    def exchange(one: str, other: str) -> bool:
        if not (output / "a=1" / "theirs").exists() and not Path(one, "theirs").exists():
            (output / "a=1" / OLD).unlink()
            _put(output / "a=1" / "theirs", "theirs")
        return real(one, other)

    monkeypatch.setattr(commit, "_exchange", exchange)
    with pytest.raises(StageError, match="changed by another process"):
        apply_change(str(output), _change(tmp_path), str(tmp_path / "work"))
    assert _content(output) == {"a=1/theirs": "theirs", f"a=1/{KEPT}": "kept", f"a=2/{OTHER}": "other"}


def test_a_change_is_made_only_after_the_check(tmp_path: Path, output: Path) -> None:
    def refuse() -> None:
        raise RunHeldError("taken over")

    before = _content(output)
    with pytest.raises(RunHeldError):
        apply_change(str(output), _change(tmp_path), str(tmp_path / "work"), refuse)
    assert _content(output) == before


def test_second_publisher_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with hold_lease(OutputLayout(str(tmp_path / "out")), wait_s=30):
            order.append("second")

    with hold_lease(OutputLayout(str(tmp_path / "out"))):
        other = threading.Thread(target=wait)
        other.start()
        other.join(0.7)
        order.append("first")
    other.join(30)
    assert order == ["first", "second"]


def test_outputs_in_one_folder_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with hold_lease(OutputLayout(f"{tmp_path}/a")), hold_lease(OutputLayout(f"{tmp_path}/b")) as second:
        assert second.generation == 1
