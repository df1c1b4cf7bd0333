"""Object storage that throttles, fails, cuts connections, loses answers: nothing half, nothing twice, nothing lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from pathlib import Path

import fsspec
import pytest

from tests.support.completions import completions
from tests.support.flaky import Fault, FlakyProxy, Plan
from uniner_dist import demo, model
from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import RunHeldError
from uniner_dist.storage.filesystem import exists, find_files, list_names, read_bytes, remove, write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import current_holder, hold_lease
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.shards import committed_shards, read_completions, verified_shards, write_completions


def once(fault: Fault, method: str) -> Plan:
    """Spoil the first request of a method."""
    left = [fault]
    return lambda asked, path: left.pop() if asked == method and left else None


def at_random(share: float, seed: int, faults: Iterable[Fault]) -> Plan:
    """Spoil a share of all requests."""
    rng, faults = random.Random(seed), list(faults)
    return lambda method, path: rng.choice(faults) if rng.random() < share else None


def always(fault: Fault, *methods: str) -> Plan:
    return lambda method, path: fault if method in methods else None


def test_an_exclusive_write_leaves_the_first_content(s3: FlakyProxy) -> None:
    path = "s3://bucket/first/x"
    assert write_bytes(path, b"first", exclusive=True)
    assert not write_bytes(path, b"second", exclusive=True)
    assert read_bytes(path) == b"first"
    assert write_bytes(path, b"third")
    assert read_bytes(path) == b"third"


@pytest.mark.parametrize("fault", ["500", "503", "cut", "lost"])
def test_a_write_that_fails_once_is_done_once(s3: FlakyProxy, fault: Fault) -> None:
    path = f"s3://bucket/once/{fault}"
    s3.plan = once(fault, "PUT")
    assert write_bytes(path, b"mine", exclusive=True), "also when only the answer was lost and the retry meets itself"
    assert s3.spoiled == {fault: 1}
    assert read_bytes(path) == b"mine"
    assert not write_bytes(path, b"theirs", exclusive=True)


def test_a_lost_answer_does_not_claim_the_content_of_another_writer(s3: FlakyProxy) -> None:
    write_bytes("s3://bucket/other", b"theirs")
    s3.plan = once("lost", "PUT")
    assert not write_bytes("s3://bucket/other", b"mine", exclusive=True)
    assert read_bytes("s3://bucket/other") == b"theirs"


def test_of_racing_writers_on_a_sick_store_one_wins_and_knows_it(s3: FlakyProxy) -> None:
    contents = [bytes([65 + i]) * 50_000 for i in range(6)]
    s3.plan = at_random(0.2, seed=3, faults=["500", "503", "cut", "lost"])
    won: list[int] = []

    def write(i: int) -> None:
        if write_bytes("s3://bucket/race", contents[i], exclusive=True):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    s3.plan = lambda method, path: None
    assert [contents[i] for i in won] == [read_bytes("s3://bucket/race")]


def test_reading_and_listing_a_sick_store_gives_what_is_there(s3: FlakyProxy) -> None:
    names = [f"{i:03d}.parquet" for i in range(12)]
    for name in names:
        write_bytes(f"s3://bucket/many/{name}", name.encode() * 100)
    s3.plan = at_random(0.15, seed=5, faults=["500", "503", "cut", "half"])
    assert list_names("s3://bucket/many") == names
    assert sorted(find_files("s3://bucket/many", ".parquet")) == names
    assert [read_bytes(f"s3://bucket/many/{name}") for name in names] == [name.encode() * 100 for name in names]
    assert [exists(f"s3://bucket/many/{name}") for name in names] == [True] * len(names)
    assert not exists("s3://bucket/many/none.parquet")
    remove("s3://bucket/many")
    s3.plan = lambda method, path: None
    assert list_names("s3://bucket/many") == []


@pytest.mark.parametrize(("fault", "words"), [("503", "reduce your request rate"), ("500", "internal error")])
def test_a_store_that_stays_sick_is_named_with_its_own_words(s3: FlakyProxy, fault: Fault, words: str) -> None:
    s3.plan = always(fault, "PUT", "GET", "HEAD")
    with pytest.raises(StorageError, match=f"s3://bucket/sick: .*{words}"):
        write_bytes("s3://bucket/sick", b"x", exclusive=True)
    with pytest.raises(StorageError, match=r"s3://bucket/sick: .+"):
        read_bytes("s3://bucket/sick")
    with pytest.raises(StorageError):
        exists("s3://bucket/sick")
    s3.plan = lambda method, path: None
    with pytest.raises(FileNotFoundError):
        read_bytes("s3://bucket/sick")


def test_access_denied_is_said_at_once(s3: FlakyProxy) -> None:
    s3.plan = always("403", "PUT")
    with pytest.raises(StorageError, match="s3://bucket/denied: Access Denied"):
        write_bytes("s3://bucket/denied", b"x")
    assert s3.requests["PUT"] == 1


def test_an_unreachable_store_is_named(s3: FlakyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match=r"s3://bucket/x: .*connect"):
        read_bytes("s3://bucket/x")


def test_a_committed_shard_is_whole_and_a_sick_store_keeps_it(s3: FlakyProxy) -> None:
    layout = RunLayout("s3://bucket/shards", "r")
    table = completions(['["A"]', "[]", None])
    s3.plan = always("503", "PUT")
    with pytest.raises(StorageError):
        write_completions(layout.completions_file("00000-0001"), "00000-0001", "f", table)
    s3.plan = lambda method, path: None
    assert committed_shards(layout) == set()
    assert write_completions(layout.completions_file("00000-0001"), "00000-0001", "f", table)
    s3.plan = lambda method, path: "500" if "00000-0001.parquet" in path else None
    with pytest.raises(StorageError):
        verified_shards(layout, {"00000-0001": 3}, "f")
    s3.plan = at_random(0.2, seed=1, faults=["500", "cut", "half"])
    assert verified_shards(layout, {"00000-0001": 3}, "f") == {"00000-0001"}
    assert read_completions(layout.completions_file("00000-0001"), "00000-0001", "f", rows=3).equals(table)


def test_a_partial_object_is_recognised(s3: FlakyProxy) -> None:
    layout = RunLayout("s3://bucket/partial", "r")
    write_completions(layout.completions_file("00000-0001"), "00000-0001", "f", completions(["[]"]))
    whole = read_bytes(layout.completions_file("00000-0001"))
    write_bytes(layout.completions_file("00000-0001"), whole[:-20])
    assert verified_shards(layout, {"00000-0001": 1}, "f") == set()
    assert committed_shards(layout) == set()


def test_one_holder_at_a_time_on_a_sick_store(s3: FlakyProxy) -> None:
    layout = RunLayout("s3://bucket/held", "r")
    s3.plan = once("lost", "PUT")
    with hold_lease(layout) as holder:
        assert holder.generation == 1
        with pytest.raises(RunHeldError), hold_lease(layout):
            pass
        s3.plan = at_random(0.2, seed=2, faults=["500", "503", "cut"])
        holder.check()
    s3.plan = lambda method, path: None
    assert current_holder(layout) is None


def test_a_model_on_s3_is_named_by_etags_and_its_copy_follows_them(
    s3: FlakyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNINER_DIST_CACHE", str(tmp_path / "cache"))
    fs = fsspec.filesystem("s3")
    source = Path(demo.model_path())
    for path in source.iterdir():
        fs.pipe_file(f"bucket/models/m/{path.name}", path.read_bytes())
    config = ModelConfig(name="s3://bucket/models/m")
    before = model.identify(config)
    assert not (tmp_path / "cache/models").exists(), "a name costs no copy"
    copy = Path(model.resolve(config))
    weights = bytearray((source / "model.safetensors").read_bytes())
    assert (copy / "model.safetensors").read_bytes() == weights
    weights[len(weights) // 2] ^= 1  # as many bytes as before
    fs.pipe_file("bucket/models/m/model.safetensors", bytes(weights))
    assert model.identify(config) != before
    model.resolve(config)
    assert (copy / "model.safetensors").read_bytes() == weights
