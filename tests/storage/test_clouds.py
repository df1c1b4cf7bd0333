"""Three object stores by their own clients, on real servers: same verbs, same words, nothing hidden by a cache."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.clouds import CLOUDS, Cloud, cloud, reachable
from tests.support.flaky import Fault
from uniner_dist.storage.credentials import of_this_process
from uniner_dist.storage.filesystem import exists, find_files, list_names, open_fs, read_bytes, remove, write_bytes
from uniner_dist.storage.footers import read_footers
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import take_snapshot

#: What another process does that has nothing but what is handed to it.
_ELSEWHERE = """
import json, sys
from uniner_dist.storage.credentials import adopt
from uniner_dist.storage.filesystem import write_bytes
adopt(json.loads(sys.stdin.read()))
print(write_bytes(sys.argv[1], b"theirs", exclusive=True))
"""


@pytest.fixture(scope="module", params=CLOUDS)
def server(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with cloud(request.param) as one:
        yield one


@pytest.fixture
def store(server: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A store that this process finds by environment variables; with a bucket that may have content."""
    with reachable(server, monkeypatch) as found:
        yield found


def elsewhere(path: str, credentials: dict[str, str]) -> str:
    """Write a file from a process whose environment holds no credentials."""
    import json

    env = {name: value for name, value in os.environ.items() if name not in credentials}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, path], input=json.dumps(credentials), env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_first_write_wins_and_a_last_part_is_read(store: Cloud) -> None:
    path = f"{store.url}/verbs/a.bin"
    assert write_bytes(path, b"first", exclusive=True)
    assert not write_bytes(path, b"second", exclusive=True)
    assert read_bytes(path) == b"first"
    assert write_bytes(path, b"another")
    assert (read_bytes(path, last=3), read_bytes(path, last=7), read_bytes(path, last=99)) == (
        b"her",
        b"another",
        b"another",
    )


def test_folders_are_listed_and_removed_whole(store: Cloud) -> None:
    base = f"{store.url}/folders"
    for name in ("x=1/a.parquet", "x=1/_hidden/b.parquet", "y.txt"):
        write_bytes(f"{base}/{name}", b"1")
    assert list_names(base) == ["x=1", "y.txt"]
    assert list(find_files(base, ".parquet")) == ["x=1/a.parquet"]
    assert [name for name in ("x=1", "y.txt", "z") if exists(f"{base}/{name}")] == ["x=1", "y.txt"]
    assert list_names(f"{base}/nowhere") == []
    remove(base)
    assert not exists(base)
    remove(base)


def test_a_corpus_is_listed_alike_on_each_store(store: Cloud) -> None:
    """As a folder, a file or a pattern; Hive's files without an ending too, but no objects that stand for folders."""
    base = f"{store.url}/corpus"
    buffer = io.BytesIO()
    pq.write_table(pa.table({"doc_id": ["a"], "text": ["b"]}), buffer)
    for name in ("day=1/a.parquet", "day=1/_SUCCESS", "day=2/000000_0", "day=2/b.parquet"):
        write_bytes(f"{base}/{name}", buffer.getvalue())
    make_folder(store, "corpus/day=1")
    files = {path: list(list_corpus(f"{base}{path}").relative) for path in ("", "/day=1/a.parquet", "/*/b.parquet")}
    assert files == {
        "": ["/day=1/a.parquet", "/day=2/000000_0", "/day=2/b.parquet"],
        "/day=1/a.parquet": ["/day=1/a.parquet"],
        "/*/b.parquet": ["/day=2/b.parquet"],
    }
    assert list_corpus(base).partitions == ("day",)
    assert take_snapshot(base).rows == (1, 1, 1)
    assert list_names(f"{base}/day=1") == ["_SUCCESS", "a.parquet"]


def make_folder(store: Cloud, name: str) -> None:
    """An object without content that stands for a folder, as consoles and connectors of Hadoop make them."""
    if store.scheme != "abfs":
        fs, stripped = open_fs(f"{store.url}/{name}")
        fs.pipe_file(f"{stripped}/", b"")
        return
    from azure.storage.blob import BlobServiceClient

    connection = store.environment["AZURE_STORAGE_CONNECTION_STRING"]
    with BlobServiceClient.from_connection_string(connection) as client:
        client.get_blob_client("bucket", name).upload_blob(b"", metadata={"hdi_isfolder": "true"})


def test_footers_are_read_at_the_same_time(store: Cloud) -> None:
    """Not one by one: a client that serialises them costs a round trip a file."""
    base = f"{store.url}/many"
    buffer = io.BytesIO()
    pq.write_table(pa.table({"doc_id": ["a"], "text": ["b"]}), buffer)
    for number in range(24):
        write_bytes(f"{base}/{number:02}.parquet", buffer.getvalue())
        write_bytes(f"{base}/{number:06}_0", buffer.getvalue())
    store.proxy.latency_s = 0.2
    store.proxy.most_at_once = 0
    listing = list_corpus(base)
    heads = store.proxy.most_at_once
    store.proxy.most_at_once = 0
    assert read_footers(listing).rows == (1,) * 48
    assert heads > 6, "beginnings of files without an ending"
    assert store.proxy.most_at_once > 6


def test_credentials_reach_another_process_and_its_files_are_seen(store: Cloud) -> None:
    base = f"{store.url}/shared"
    write_bytes(f"{base}/mine", b"mine")
    assert (list_names(base), exists(f"{base}/theirs")) == (["mine"], False)
    assert elsewhere(f"{base}/theirs", of_this_process()) == "True"
    assert (list_names(base), exists(f"{base}/theirs")) == (["mine", "theirs"], True)
    assert sorted(find_files(base)) == ["mine", "theirs"]
    assert read_bytes(f"{base}/theirs") == b"theirs"


def test_a_store_that_refuses_says_so_in_its_own_words(store: Cloud) -> None:
    path = f"{store.url}/refused"
    write_bytes(path, b"there")
    store.proxy.plan = lambda method, url: "403"
    for call in (lambda: read_bytes(path), lambda: write_bytes(path, b"x"), lambda: list_names(f"{store.url}/folder")):
        with pytest.raises(StorageError) as raised:
            call()
        assert store.url in str(raised.value)
        assert not any(secret in str(raised.value) for secret in store.secrets)


def test_one_bad_answer_is_asked_again(store: Cloud) -> None:
    path = f"{store.url}/once"
    left: list[Fault] = ["503"]
    store.proxy.plan = lambda method, url: left.pop() if left else None
    assert write_bytes(path, b"there")
    assert (read_bytes(path), left) == (b"there", [])
