"""Storage: whole files or none, verified shards, what a corpus consists of."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tests.support.completions import completions
from uniner_dist.errors import ConfigError, first_line
from uniner_dist.schemas import PROMPTS
from uniner_dist.storage import retries
from uniner_dist.storage.filesystem import find_files, list_names, open_fs, read_bytes, url_of, write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.renames import replace_by_rename
from uniner_dist.storage.shards import (
    ForeignFileError,
    checksum,
    committed_shards,
    read_completions,
    read_prompts,
    verified_shards,
    write_completions,
)
from uniner_dist.storage.snapshot import take_snapshot


@pytest.mark.parametrize("base", ["local", "memory"])
def test_an_exclusive_write_leaves_the_first_content(base: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/a/b.bin" if base == "local" else f"memory://{tmp_path.name}/b.bin"
    assert write_bytes(path, b"first", exclusive=True)
    assert not write_bytes(path, b"second", exclusive=True)
    assert read_bytes(path) == b"first"
    assert write_bytes(path, b"third")
    assert read_bytes(path) == b"third"


def test_racing_writers_leave_one_whole_file_and_no_litter(tmp_path: Path) -> None:
    contents = [bytes([i]) * 200_000 for i in range(8)]
    won: list[int] = []

    def write(i: int) -> None:
        if write_bytes(f"{tmp_path}/x", contents[i], exclusive=True):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read_bytes(f"{tmp_path}/x") == contents[won[0]]
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("function", ["mkdir", "fsync"])
def test_a_folder_that_another_process_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """As a publication and an erasure remove folders that are empty."""
    real, folder = getattr(os, function), tmp_path / "a/b"

    def remove_before(*arguments: object, **options: object) -> object:
        if function == "mkdir" and str(arguments[0]) != str(folder):
            return real(*arguments, **options)
        monkeypatch.setattr(os, function, real)
        if function == "mkdir":
            real(*arguments, **options)
        shutil.rmtree(folder)
        return None if function == "mkdir" else real(*arguments, **options)

    monkeypatch.setattr(os, function, remove_before)
    assert write_bytes(f"{folder}/x", b"data")
    assert os.listdir(folder) == ["x"]


def test_hidden_files_are_not_found_but_hive_folders_with_underscores(tmp_path: Path) -> None:
    for name in ("a.parquet", "_tmp/b.parquet", ".c.parquet", "_day=1/d.parquet"):
        write_bytes(f"{tmp_path}/{name}", b"x")
    assert sorted(find_files(str(tmp_path), ".parquet")) == ["_day=1/d.parquet", "a.parquet"]
    assert list_names(f"{tmp_path}/nowhere") == []


def test_a_committed_shard_reads_back_and_anything_else_is_recognised(tmp_path: Path) -> None:
    layout = RunLayout(str(tmp_path), "r")
    path = layout.completions_file("00000-0001")
    table = completions(['["A"]', "[]", None])
    assert write_completions(path, "00000-0001", "f", table)
    assert not write_completions(path, "00000-0001", "f", table), "the first writer wins"
    assert read_completions(path, "00000-0001", "f", rows=3).equals(table)
    assert committed_shards(layout) == {"00000-0001"}
    for shard, fingerprint, rows in (("00000-0002", "f", 3), ("00000-0001", "g", 3), ("00000-0001", "f", 4)):
        with pytest.raises(ForeignFileError):
            read_completions(path, shard, fingerprint, rows)


def test_a_cut_or_altered_shard_is_recognised(tmp_path: Path) -> None:
    path = str(tmp_path / "s.parquet")
    write_completions(path, "s", "f", completions(['["A"]', "[]"]))
    whole = read_bytes(path)
    write_bytes(path, whole[: len(whole) // 2])
    with pytest.raises(ForeignFileError, match="not a whole Parquet file"):
        read_completions(path, "s", "f")
    write_bytes(path, whole)
    altered = pq.read_table(path)
    forged = altered.set_column(2, "output", pa.array(["[]", "[]"])).replace_schema_metadata(altered.schema.metadata)
    pq.write_table(forged, path)
    with pytest.raises(ForeignFileError, match="checksum"):
        read_completions(path, "s", "f")


def test_a_checksum_does_not_depend_on_how_rows_are_chunked() -> None:
    table = completions(['["Ængström 𝒳"]', "", None, "[]"])
    hasher = hashlib.sha256()
    for name in ("passage_id", "entity_type", "output", "error"):
        for value in table[name].to_pylist():
            data = b"\xff" if value is None else value.encode()
            hasher.update(len(data).to_bytes(8, "little") + data)
    assert checksum(table) == hasher.hexdigest()[:32]
    assert checksum(pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1)])) == checksum(table)


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
@pytest.mark.parametrize("configured", ["s3", "s3a"])
def test_options_that_the_user_configured_for_s3_are_kept(
    monkeypatch: pytest.MonkeyPatch, scheme: str, configured: str
) -> None:
    pytest.importorskip("s3fs")
    wanted = {"retries": {"max_attempts": 9}}
    monkeypatch.setattr(fsspec.config, "conf", {configured: {"config_kwargs": wanted}})
    assert open_fs(f"{scheme}://bucket/x")[0].config_kwargs == wanted
    monkeypatch.setattr(fsspec.config, "conf", {})
    assert open_fs(f"{scheme}://bucket/x")[0].config_kwargs["max_pool_connections"] > 10


def corpus(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"]}), path)


def test_a_file_has_its_name_only_when_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that outlives a power failure must not be one of an empty file."""
    flushed: dict[int, int] = {}
    named: list[tuple[int, int]] = []
    real_sync, real_replace, real_link = os.fsync, os.replace, os.link

    def sync(stream: int) -> None:
        real_sync(stream)
        flushed[os.fstat(stream).st_ino] = os.fstat(stream).st_size

    def replace(source: str, target: str) -> None:
        named.append((os.stat(source).st_ino, os.stat(source).st_size))
        real_replace(source, target)

    def link(source: str, target: str) -> None:
        named.append((os.stat(source).st_ino, os.stat(source).st_size))
        real_link(source, target)

    for name, call in (("fsync", sync), ("replace", replace), ("link", link)):
        monkeypatch.setattr(os, name, call)
    for exclusive in (False, True):
        write_bytes(str(tmp_path / f"{exclusive}"), b"content", exclusive=exclusive)
    assert len(named) == 2
    assert all(flushed.get(inode) == size == len(b"content") for inode, size in named)


def test_a_shard_with_fewer_rows_than_the_manifest_says_is_done_again(tmp_path: Path) -> None:
    layout = RunLayout(str(tmp_path), "a" * 12)
    for shard in ("00000-0000", "00001-0000"):
        write_completions(layout.completions_file(shard), shard, "f", completions(["[]", "[]"]))
    assert verified_shards(layout, {"00000-0000": 2, "00001-0000": 3}, "f") == {"00000-0000"}
    assert committed_shards(layout) == {"00000-0000"}


def test_a_snapshot_keeps_partition_columns_however_the_corpus_is_named(tmp_path: Path) -> None:
    corpus(tmp_path / "c/domain=a/x.parquet")
    corpus(tmp_path / "c/domain=b/x.parquet")
    (tmp_path / "c/_SUCCESS").write_text("")
    base = str(tmp_path / "c")
    for path, files in ((base, 2), (f"{base}/domain=a", 1), (f"{base}/domain=*", 2), (f"{base}/domain=a/x.parquet", 1)):
        snapshot = take_snapshot(path)
        assert (snapshot.base, snapshot.partitions, len(snapshot.files)) == (base, ("domain",), files)


def test_a_snapshot_changes_when_the_corpus_does(tmp_path: Path) -> None:
    corpus(tmp_path / "c/x.parquet")
    before = take_snapshot(str(tmp_path / "c")).digest
    assert take_snapshot(str(tmp_path / "c")).digest == before
    corpus(tmp_path / "c/y.parquet")
    assert take_snapshot(str(tmp_path / "c")).digest != before


def test_a_corpus_that_cannot_be_used_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        take_snapshot(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no Parquet files"):
        take_snapshot(str(tmp_path / "empty"))
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(ConfigError, match="not a readable Parquet file"):
        take_snapshot(str(tmp_path / "bad.parquet"))
    corpus(tmp_path / "mixed/a=1/x.parquet")
    corpus(tmp_path / "mixed/x.parquet")
    with pytest.raises(ConfigError, match="disagree about the partition columns"):
        take_snapshot(str(tmp_path / "mixed"))


def test_a_file_of_a_corpus_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    corpus(tmp_path / "c/good.parquet")
    os.link(tmp_path / "c/good.parquet", os.fsencode(tmp_path) + b"/c/caf\xe9.parquet")
    with pytest.raises(ConfigError, match=r"the name '.*/c/caf\\udce9\.parquet' is not UTF-8; rename it"):
        list_corpus(str(tmp_path / "c"))


@pytest.mark.parametrize("pattern", ["", "/*/*.parquet"])
@pytest.mark.parametrize("failing", ["ls", "info"])
def test_a_store_that_fails_is_asked_again_and_is_no_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, failing: str
) -> None:
    base = f"memory://{tmp_path.name}{pattern.count('/')}{failing}"
    for folder in "ab":
        write_bytes(f"{base}/{folder}/x.parquet", b"PAR1")
    monkeypatch.setattr(retries, "_WAITS_S", (0.0, 0.0, 0.0))
    real, left = getattr(MemoryFileSystem, failing), [1]
    raised: list[type[OSError]] = [OSError]

    def ask(self: MemoryFileSystem, path: str, **options: object) -> object:
        if left[0] and path.endswith("/b" if failing == "ls" else base.removeprefix("memory:/")):
            left[0] -= 1
            raise raised[0]("Slow down")
        return real(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, failing, ask)
    assert [file.rsplit("/", 2)[1] for file in list_corpus(base + pattern).files] == ["a", "b"]
    if pattern and failing == "info":
        return  # a pattern is not looked at by itself
    for error, words in ((OSError, "cannot be listed: Slow down"), (PermissionError, "may not be read: Slow down")):
        left[0], raised[0] = 9, error
        with pytest.raises(ConfigError, match=words):
            list_corpus(base + pattern)


@pytest.mark.parametrize(
    ("url", "stripped", "name", "right"),
    [
        (
            "hdfs://namenode:8020/lake/c",
            "/lake/c",
            "/lake/c/domain=x/a.parquet",
            "hdfs://namenode:8020/lake/c/domain=x/a.parquet",
        ),
        ("hdfs://namenode:8020/lake/c/*", "/lake/c/*", "/lake/c", "hdfs://namenode:8020/lake/c"),
        (
            "abfs://texts@account.dfs.core.windows.net/c/d=1/",
            "texts/c/d=1",
            "texts/c",
            "abfs://texts@account.dfs.core.windows.net/c",
        ),
        ("s3a://bucket/c", "bucket/c", "bucket/c/a.parquet", "s3a://bucket/c/a.parquet"),
        ("gs://bucket", "bucket", "bucket/a.parquet", "gs://bucket/a.parquet"),
        ("gs://bucket", "bucket", "bucket", "gs://bucket"),
        ("s3://c/c/c", "c/c/c", "c/c", "s3://c/c"),
    ],
)
def test_a_url_keeps_the_host_of_its_store(url: str, stripped: str, name: str, right: str) -> None:
    assert url_of(url, stripped, name) == right


def test_an_account_in_a_url_survives_the_file_system() -> None:
    pytest.importorskip("adlfs")
    from adlfs import AzureBlobFileSystem

    url = "abfs://texts@account.dfs.core.windows.net/lake/corpus"
    stripped = AzureBlobFileSystem._strip_protocol(url)
    assert url_of(url, stripped, f"{stripped}/a.parquet") == f"{url}/a.parquet"


def test_a_rename_whose_answer_is_lost_has_replaced_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class LosesAnswers(LocalFileSystem):  # type: ignore[misc]
        cachable = False

        def mv(self, path1: str, path2: str, **kwargs: object) -> None:
            super().mv(path1, path2, **kwargs)
            raise ConnectionResetError

    monkeypatch.setattr(retries, "_WAITS_S", (0.01,))
    path = str(tmp_path / "a")
    for data in (b"one", b"two"):
        replace_by_rename(path, LosesAnswers(), path, data)
        assert read_bytes(path) == data
    assert list_names(str(tmp_path)) == ["a"]


def test_another_file_next_to_a_shards_prompts_is_not_read(tmp_path: Path) -> None:
    layout = RunLayout(str(tmp_path), "0" * 12)
    row = {"passage_id": "a", "text": "Ada", "entity_type": "person"}
    for name in ("part-0", "part-1"):
        path = Path(layout.prompts_folder("00000-0000"), f"{name}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row], schema=PROMPTS), path)
    assert read_prompts(layout, "00000-0000").num_rows == 1


@pytest.mark.parametrize(("text", "line"), [("", "OSError"), ("\n", "OSError"), ("\nno\nyes", "no")])
def test_an_error_is_told_by_its_first_line_or_its_type(text: str, line: str) -> None:
    assert first_line(OSError(text)) == line
