"""What storages can do is found out by trying, with a second process, and pinned in the workdir."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from uniner_dist.errors import ConfigError
from uniner_dist.storage import filesystem, local_writes, probe
from uniner_dist.storage.filesystem import list_names, read_bytes, read_json, write_bytes
from uniner_dist.storage.probe import check_storages


class _Hadoop(MemoryFileSystem):  # type: ignore[misc]
    """As fsspec's `hdfs://`: nothing is created exclusively, but a rename onto a file that exists fails."""

    protocol = ("hadoop",)
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        if mode == "create":
            raise ValueError("unsupported mode")
        super().pipe_file(path, value)

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        if self.exists(path2):
            raise OSError(errno.EIO, "rename failed")
        super().mv(path1, path2)


@pytest.fixture
def hadoop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNINER_DIST_SCHEMES", "hadoop")
    fsspec.register_implementation("hadoop", _Hadoop, clobber=True)


def test_a_local_folder_can_all_and_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [str(tmp_path / name) for name in ("work", "out", "work/store")]
    check_storages(places[0], places)
    [pinned] = read_json(f"{places[0]}/storage.json")["storages"].values()
    assert pinned == {"exclusive": "link", "weaker": []}
    assert list_names(places[0]) == ["storage.json"], "nothing is left of the trial"
    monkeypatch.setattr(probe, "probe", lambda path: pytest.fail("tried again"))
    check_storages(places[0], places)


def test_a_storage_without_exclusive_create_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's file system answers that it created a file which is there."""

    def give_name(temporary: str, path: str, exclusive: bool) -> bool:
        os.replace(temporary, path)
        return True

    monkeypatch.setattr(local_writes, "_give_name", give_name)
    with pytest.raises(ConfigError, match=r"two processes created the same file in \d+ of 12 tries"):
        check_storages(str(tmp_path), [str(tmp_path)])
    assert list_names(str(tmp_path)) == []


def test_a_storage_whose_listing_lags_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "list_names", lambda path: [])
    with pytest.raises(ConfigError, match="a file that was written is not listed"):
        check_storages(str(tmp_path), [str(tmp_path)])


def test_without_hard_links_files_are_opened_exclusively_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    check_storages(str(tmp_path), [str(tmp_path)])
    assert "it has no hard links" in caplog.text
    assert write_bytes(f"{tmp_path}/x", b"first", exclusive=True)
    assert not write_bytes(f"{tmp_path}/x", b"second", exclusive=True)
    assert read_bytes(f"{tmp_path}/x") == b"first"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_rename_onto_a_missing_name_serves_as_exclusive_create(hadoop: None) -> None:
    assert filesystem.exclusive_by("hadoop://a") == "rename"
    assert write_bytes("hadoop://a/x", b"first", exclusive=True)
    assert not write_bytes("hadoop://a/x", b"second", exclusive=True)
    assert read_bytes("hadoop://a/x") == b"first"
    assert [name for name in list_names("hadoop://a") if name.startswith(".")] == []


def test_one_winner_of_two_is_what_every_race_needs() -> None:
    assert probe._judge([1, 1, 1]) == []
    assert "in 1 of 3 tries" in probe._judge([1, 2, 1])[0]
    assert "nobody had" in probe._judge([1, 0])[0]


def test_storages_of_this_machine_are_told_apart_by_mount(tmp_path: Path) -> None:
    assert probe._storage_of(f"{tmp_path}/a/b") == probe._storage_of(f"{tmp_path}/c")
    assert probe._storage_of("/proc/self") == "file:///proc" or not LocalFileSystem().exists("/proc")
    assert probe._storage_of("s3://bucket/a/b") == "s3://bucket"
