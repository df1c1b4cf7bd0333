"""The store of answers as files, and what names a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.completions import completions
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.errors import StageError
from uniner_dist.run import identity as keys
from uniner_dist.schemas import CELLS
from uniner_dist.storage.answer_store import (
    compacted_name,
    contribute,
    is_empty,
    live_files,
    next_sequence,
    sweep,
    write_manifest,
)
from uniner_dist.storage.filesystem import join, read_bytes, write_bytes
from uniner_dist.storage.place_layout import StoreLayout


def test_only_a_shards_own_answers_go_into_the_store(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    assert is_empty(store)
    table = completions(['["A"]', None, "[]", '["B"]'])
    reused = table.set_column(table.schema.get_field_index("reused"), "reused", [[False, False, True, False]])
    assert contribute(store, "a" * 12, "00000-0001", reused)
    [name] = live_files(store)
    cells = pq.read_table(join(store.cells, name))
    assert cells.schema.remove_metadata() == CELLS
    assert cells["output"].to_pylist() == ['["A"]', '["B"]']
    assert not contribute(store, "a" * 12, "00000-0002", completions([None]))
    assert live_files(store) == [name]


def test_the_same_answers_make_the_same_file_and_more_answers_another(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    contribute(store, "a" * 12, "00000-0001", completions(["[]", None]))
    [first] = live_files(store)
    before = read_bytes(join(store.cells, first))
    contribute(store, "a" * 12, "00000-0001", completions(["[]", None]))
    assert live_files(store) == [first]
    assert read_bytes(join(store.cells, first)) == before
    contribute(store, "a" * 12, "00000-0001", completions(["[]", "[]"]))
    assert len(live_files(store)) == 2


def test_a_compacted_file_counts_once_a_manifest_names_it(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    small = [f"{letter * 12}-00000-0000-{letter * 12}.parquet" for letter in "abc"]
    first, second = (compacted_name(f"{number:012d}-{number:08x}", 0) for number in (1, 2))
    for name in (*small, first, second, ".x.parquet.tmp"):
        write_bytes(join(store.cells, name), b"x")
    assert live_files(store) == small
    write_manifest(store, next_sequence(store), [first], small[:2])
    assert live_files(store) == [small[2], first]
    write_manifest(store, next_sequence(store), [second], [small[2], first])
    assert live_files(store) == [second]


def test_a_change_that_was_planned_before_another_one_replaces_nothing(tmp_path: Path) -> None:
    """A compaction that slept, and an erasure meanwhile: its answers must not come back."""
    store = StoreLayout(str(tmp_path), "f")
    small = f"{'a' * 12}-00000-0000-{'a' * 12}.parquet"
    first, second = (compacted_name(f"{number:012d}-{number:08x}", 0) for number in (1, 2))
    for name in (small, first, second):
        write_bytes(join(store.cells, name), b"x")
    planned = next_sequence(store)
    write_manifest(store, next_sequence(store), [second], [small])
    with pytest.raises(StageError, match="was changed by another process meanwhile"):
        write_manifest(store, planned, [first], [small])
    assert live_files(store) == [second]
    sweep(store, grace_s=-1)
    assert next_sequence(store) == planned + 1, "numbers do not begin again"


def _config(**settings: object) -> Config:
    tree = {"corpus": {"path": "/c"}, "output": {"path": "/o"}, "types": "person"}
    return validate_tree({**tree, **settings})


def test_the_fingerprint_is_about_answers_and_nothing_else() -> None:
    def fingerprint(**settings: object) -> str:
        return keys.fingerprint(_config(**settings), "m")

    usual = fingerprint()
    same: list[dict[str, Any]] = [
        {"model": {"dtype": "float32"}},  # what "auto" is on a CPU
        {"model": {"name": "/elsewhere"}},
        {"store": "/s", "workdir": "/w", "run": {"scores": True, "max_prompts": 3}},
        {"engine": {"extra": {"max_num_batched_tokens": 64}}, "pool": {"replicas": 3}},
        {"prompts": {"passage_tokens": 100}, "types": "place"},
    ]
    assert {fingerprint(**settings) for settings in same} == {usual}
    others: list[dict[str, Any]] = [
        {"pool": {"gpus_per_replica": 1}},
        {"model": {"max_tokens": 64}},
        {"model": {"quantization": "fp8"}},
        {"engine": {"extra": {"kv_cache_dtype": "fp8"}}},
        {"engine": {"kind": "scripted"}},
    ]
    assert len({usual, *(fingerprint(**settings) for settings in others)}) == 1 + len(others)


def test_limits_store_and_removal_do_not_make_another_run() -> None:
    usual = keys.run_id(_config(), "f", "s")
    limited = _config(run={"max_prompts": 5, "max_gpu_hours": 1}, store="/s")
    assert keys.run_id(limited, "f", "s") == usual
    output = {"path": "/o", "removed_documents": "keep", "other_types": "remove"}
    assert keys.run_id(_config(output=output), "f", "s") == usual
