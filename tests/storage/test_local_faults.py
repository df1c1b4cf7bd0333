"""A full disk, a forbidden folder, a disk that hiccups."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from tests.support.completions import completions
from uniner_dist.storage import retries
from uniner_dist.storage.filesystem import list_names, read_bytes, write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.shards import verified_shards, write_completions


def failing(monkeypatch: pytest.MonkeyPatch, function: str, number: int, times: int) -> None:
    """Let an `os` function fail with an error number so many times."""
    real, left = getattr(os, function), [times]

    def sick(*arguments: Any, **options: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    monkeypatch.setattr(os, function, sick)
    monkeypatch.setattr(retries, "_WAITS_S", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_full_disk_leaves_no_half_file_and_says_where(tmp_path: Path, exclusive: bool) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StorageError, match=f"{tmp_path}/big: File too large"):
            write_bytes(f"{tmp_path}/big", b"x" * 50_000, exclusive=exclusive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("function", ["fsync", "link"])
def test_a_hiccup_of_the_disk_is_survived(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, function, errno.EIO, times=2)
    assert write_bytes(f"{tmp_path}/x", b"data", exclusive=True)
    assert read_bytes(f"{tmp_path}/x") == b"data"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "Permission denied"), (errno.ENOSPC, "No space left on device")]
)
def test_what_waiting_does_not_mend_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    failing(monkeypatch, "fsync", number, times=1)
    with pytest.raises(StorageError, match=f"{tmp_path}/x: {words}"):
        write_bytes(f"{tmp_path}/x", b"data")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o000)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            list_names(str(folder))
    finally:
        folder.chmod(0o700)


def test_a_committed_shard_that_cannot_be_read_right_now_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = RunLayout(str(tmp_path), "r")
    write_completions(layout.completions_file("00000-0001"), "00000-0001", "f", completions(["[]"]))

    def sick(*arguments: Any, **options: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(retries, "_WAITS_S", (0.0,))
        patch.setattr("fsspec.implementations.local.LocalFileSystem.cat_file", sick)
        with pytest.raises(StorageError, match="Input/output error"):
            verified_shards(layout, {"00000-0001": 1}, "f")
    assert verified_shards(layout, {"00000-0001": 1}, "f") == {"00000-0001"}
