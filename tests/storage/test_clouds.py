"""Three object stores by their own clients, on real servers: same verbs, same words, nothing hidden by a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.clouds import CLOUDS, Cloud, cloud, reachable
from tests.support.flaky import Fault
from uniner_dist.errors import ConfigError
from uniner_dist.storage.credentials import of_this_process
from uniner_dist.storage.filesystem import exists, find_files, list_names, open_fs, read_bytes, remove, write_bytes
from uniner_dist.storage.retries import StorageError

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


def test_hdfs_without_a_hadoop_client_is_told_in_words() -> None:
    if os.environ.get("HADOOP_HOME"):
        pytest.skip("this machine has a Hadoop client")
    with pytest.raises(ConfigError, match=r"hdfs:// goes through libhdfs.*CLASSPATH"):
        open_fs("hdfs://namenode:8020/corpus")
