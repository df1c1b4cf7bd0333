"""Changing the files of an output: by exchange on a local disk, file by file elsewhere, and again after a crash."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from uniner_dist.errors import StageError
from uniner_dist.storage import commit as flip
from uniner_dist.storage.commit import FolderChange, apply, lock_output


def _put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for name in ("old", "kept"):
        _put(tmp_path / "out" / "a=1" / name, name)
    _put(tmp_path / "out" / "a=2" / "other", "other")
    return tmp_path / "out"


def _change(tmp_path: Path) -> FolderChange:
    return FolderChange("a=1", {"new": _put(tmp_path / "staged" / "x", "new")}, ["old"])


@pytest.mark.parametrize("exchange", [True, False])
def test_folder_has_old_or_new_content_and_a_second_apply_changes_nothing(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(flip, "_exchange", lambda one, other: False)
    change = FolderChange.from_json(_change(tmp_path).to_json())
    for _ in range(2):
        apply(str(output), change, str(tmp_path / "work"))
        assert _content(output) == {"a=1/new": "new", "a=1/kept": "kept", "a=2/other": "other"}


def test_half_done_change_is_completed(tmp_path: Path, output: Path) -> None:
    _put(output / "a=1" / "new", "new")
    apply(str(output), _change(tmp_path), str(tmp_path / "work"))
    assert _content(output) == {"a=1/new": "new", "a=1/kept": "kept", "a=2/other": "other"}


def test_new_folder_appears_and_an_emptied_one_goes(tmp_path: Path, output: Path) -> None:
    new = FolderChange("a=3/b=x%20y", {"new": _put(tmp_path / "staged" / "x", "new")}, [])
    apply(str(output), new, str(tmp_path / "work"))
    apply(str(output), FolderChange("a=2", {}, ["other"]), str(tmp_path / "work"))
    assert _content(output) == {"a=1/old": "old", "a=1/kept": "kept", "a=3/b=x%20y/new": "new"}
    assert not (output / "a=2").exists()


def test_output_itself_keeps_its_folders(tmp_path: Path, output: Path) -> None:
    _put(output / "empty", "")
    apply(
        str(output), FolderChange("", {"new": _put(tmp_path / "staged" / "x", "new")}, ["empty"]), str(tmp_path / "w")
    )
    assert set(_content(output)) == {"a=1/old", "a=1/kept", "a=2/other", "new"}


def test_object_store_gets_new_files_before_old_ones_go() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/out/a=1/old": b"old", "/out/a=1/kept": b"kept", "/staged/x": b"new"})
    change = FolderChange("a=1", {"new": "memory://staged/x"}, ["old"])
    for _ in range(2):
        with lock_output("memory://out"):
            apply("memory://out", change, "memory://work")
        assert sorted(store.find("/out")) == ["/out/a=1/kept", "/out/a=1/new"]


def test_second_publisher_waits_for_the_first(tmp_path: Path) -> None:
    import threading

    order: list[str] = []
    with lock_output(str(tmp_path / "out")):
        other = threading.Thread(target=lambda: _wait(tmp_path, order))
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def _wait(tmp_path: Path, order: list[str]) -> None:
    with lock_output(str(tmp_path / "out")):
        order.append("second")


def test_a_process_that_keeps_the_output_locked_is_waited_for_but_not_for_ever(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flip, "_LOCK_S", 0.2)
    words = "another process has been publishing there"
    with lock_output(str(output)), pytest.raises(StageError, match=words), lock_output(str(output)):
        pass
    with lock_output(str(output)):
        pass
