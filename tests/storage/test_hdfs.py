"""The verbs of storage on a real HDFS: whole files by renames, one winner of many processes, words where it is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.hdfs import hdfs
from tests.support.published import marker_of, published, write_marker
from uniner_dist.doctor.storage import Location, check_location
from uniner_dist.errors import ConfigError, RunHeldError, StageError
from uniner_dist.storage import retries
from uniner_dist.storage.conditional import read_version, swap
from uniner_dist.storage.filesystem import (
    exists,
    find_files,
    list_names,
    open_fs,
    read_bytes,
    read_json,
    remove,
    write_bytes,
)
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.marker import read_marker_version, swap_marker
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.probe import check_storages
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import take_snapshot
from uniner_dist.storage.stale_files import remove_stale_temporary

COLUMNS = pa.schema([("doc_id", pa.string())])
#: Two servers start on a machine that may be busy.
pytestmark = pytest.mark.timeout(1800)
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with hdfs() as url:
        yield url


def test_hdfs_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    with pytest.raises(ConfigError, match=r"paths that begin with hdfs://: pip install \"uniner-dist\[hdfs\]\""):
        open_fs("hdfs://namenode:8020/corpus")


def test_hdfs_without_a_namenodes_name_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"name the namenode in the URL, or set HADOOP_CONF_DIR"):
        open_fs("hdfs:///corpus")


def test_a_namenode_that_is_not_there_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_WAITS_S", (0.01,))
    with pytest.raises(StorageError, match=r"^hdfs://127.0.0.1:1: the namenode cannot be reached: Connection refused$"):
        list_names("hdfs://127.0.0.1:1/corpus")


@slow
def test_files_appear_whole_and_a_first_write_wins(root: str) -> None:
    path = f"{root}/verbs/a.bin"
    assert write_bytes(path, b"first", exclusive=True)
    assert not write_bytes(path, b"second", exclusive=True)
    assert write_bytes(path, b"another")
    assert (read_bytes(path), read_bytes(path, last=3), read_bytes(path, last=99)) == (b"another", b"her", b"another")
    assert list_names(f"{root}/verbs") == ["a.bin"], "no temporary file is left"
    write_bytes(f"{root}/verbs/.a.bin.0123.tmp", b"half")
    remove_stale_temporary(f"{root}/verbs")
    assert open_fs(root)[0].ls("/verbs", detail=False) == ["/verbs/a.bin"]
    remove(f"{root}/verbs")
    assert (exists(f"{root}/verbs"), list_names(f"{root}/verbs"), find_files(f"{root}/verbs")) == (False, [], {})


@slow
def test_a_corpus_is_listed_and_a_rewritten_file_is_another_version(root: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"doc_id": ["a"], "text": ["b"]}), tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    for name in ("day=1/a.parquet", "day=2/000000_0", "day=2/_SUCCESS"):
        write_bytes(f"{root}/corpus/{name}", content)
    listing = list_corpus(f"{root}/corpus")
    assert (list(listing.relative), listing.partitions) == (["/day=1/a.parquet", "/day=2/000000_0"], ("day",))
    assert list(list_corpus(f"{root}/corpus/*/a.parquet").relative) == ["/day=1/a.parquet"]
    assert take_snapshot(f"{root}/corpus").rows == (1, 1)
    write_bytes(f"{root}/corpus/day=1/a.parquet", content)
    assert list_corpus(f"{root}/corpus").digest != listing.digest


@slow
def test_hdfs_is_found_fit_with_what_it_lacks(root: str, caplog: pytest.LogCaptureFixture) -> None:
    check_storages(f"{root}/workdir", [f"{root}/workdir"])
    [found] = read_json(f"{root}/workdir/storage.json")["storages"].values()
    assert found["exclusive"] == "rename"
    assert "it has no exclusive create" in caplog.text
    assert list_names(f"{root}/workdir") == ["storage.json"]
    assert [finding.level for finding in check_location(Location("--workdir", f"{root}/workdir", True))] == ["ok", "ok"]


@slow
def test_of_many_processes_one_creates_a_file(root: str) -> None:
    code = (
        "import os, sys\nfrom uniner_dist.storage.filesystem import write_bytes\nsys.stdin.readline()\n"
        "print(int(write_bytes(sys.argv[1], str(os.getpid()).encode(), exclusive=True)))"
    )
    command = [sys.executable, "-c", code, f"{root}/race/file"]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(racer.communicate("\n")[0].strip() for racer in racers) == ["0", "0", "1"]


@slow
def test_a_process_that_has_used_hdfs_can_still_start_others(root: str) -> None:
    write_bytes(f"{root}/forked/a", b"1")
    # As Ray starts its servers: with something to do between fork and exec, Python forks, and the hooks of forks run.
    started = subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE, preexec_fn=lambda: None)
    assert started.communicate(timeout=1200)[0] == b"1\n"
    assert read_bytes(f"{root}/forked/a") == b"1"


def test_one_process_holds_a_lease_and_its_marker_is_its_own(root: str) -> None:
    output = f"{root}/leased/out"
    write_marker(output, marker_of(a=published()))
    with hold_lease(OutputLayout(output)) as lease:
        assert lease.generation == 1
        with pytest.raises(RunHeldError), hold_lease(OutputLayout(output)):
            pass
        before = read_marker_version(output)
        assert before is not None
        after = swap_marker(output, before, before.marker.model_copy(update={"carried": ("x",)}), COLUMNS)
        assert after.marker.carried == ("x",)
        with pytest.raises(StageError, match="was changed by another process"):
            swap_marker(output, before, before.marker, COLUMNS)
    path = f"{root}/leased/number"
    write_bytes(path, b"1")
    seen = read_version(path)
    write_bytes(path, b"2")
    assert not swap(path, seen, b"3")
    assert read_bytes(path) == b"2"


@slow
def test_what_hdfs_refuses_is_a_storage_error(root: str) -> None:
    write_bytes(f"{root}/file", b"1")
    with pytest.raises(StorageError, match=f"^{root}/file/below: "):
        write_bytes(f"{root}/file/below", b"1")
