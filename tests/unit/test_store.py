"""The store of answers as files, and the marker's rules about what belongs to one corpus."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.support.completions import completions
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.run import identity as keys
from uniner_dist.schemas import CELLS
from uniner_dist.storage.answer_store import contribute, is_empty, live_files, write_manifest
from uniner_dist.storage.filesystem import join, read_bytes, write_bytes
from uniner_dist.storage.layout import StoreLayout
from uniner_dist.storage.marker import is_current, next_order, runs_over


def test_only_a_shards_own_answers_go_into_the_store(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    assert is_empty(store)
    table = completions(['["A"]', None, "[]", '["B"]'])
    reused = table.set_column(table.schema.get_field_index("reused"), "reused", [[False, False, True, False]])
    assert contribute(store, "run", "s1", reused)
    [name] = live_files(store)
    cells = pq.read_table(join(store.cells, name))
    assert cells.schema.remove_metadata() == CELLS
    assert cells["output"].to_pylist() == ['["A"]', '["B"]']
    assert not contribute(store, "run", "s2", completions([None]))
    assert live_files(store) == [name]


def test_the_same_answers_make_the_same_file_and_more_answers_another(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    contribute(store, "run", "s1", completions(["[]", None]))
    [first] = live_files(store)
    before = read_bytes(join(store.cells, first))
    contribute(store, "run", "s1", completions(["[]", None]))
    assert live_files(store) == [first]
    assert read_bytes(join(store.cells, first)) == before
    contribute(store, "run", "s1", completions(["[]", "[]"]))
    assert len(live_files(store)) == 2


def test_a_compacted_file_counts_once_a_manifest_names_it_and_what_it_replaces_no_more(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f")
    for name in ("a.parquet", "b.parquet", "c.parquet", "compacted-1.parquet", "compacted-2.parquet", ".x.parquet.tmp"):
        write_bytes(join(store.cells, name), b"x")
    assert live_files(store) == ["a.parquet", "b.parquet", "c.parquet"]
    write_manifest(store, ["compacted-1.parquet"], ["a.parquet", "b.parquet"])
    assert live_files(store) == ["c.parquet", "compacted-1.parquet"]
    write_manifest(store, ["compacted-2.parquet"], ["c.parquet", "compacted-1.parquet"])
    assert live_files(store) == ["compacted-2.parquet"]


def _config(**settings: object) -> Config:
    tree = {"corpus": {"path": "/c"}, "output": {"path": "/o"}, "types": "person"}
    return validate_tree({**tree, **settings})


def test_the_fingerprint_is_about_answers_and_nothing_else() -> None:
    def fingerprint(**settings: object) -> str:
        return keys.fingerprint(_config(**settings), "m")

    usual = fingerprint()
    same = [
        {"model": {"dtype": "float32"}},  # what "auto" is on a CPU
        {"model": {"name": "/elsewhere"}},
        {"store": "/s", "workdir": "/w", "run": {"scores": True, "max_prompts": 3}},
        {"engine": {"extra": {"max_num_batched_tokens": 64}}, "pool": {"replicas": 3}},
        {"prompts": {"passage_tokens": 100}, "types": "place"},
    ]
    assert {fingerprint(**settings) for settings in same} == {usual}
    others = [
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
    assert keys.run_id(_config(output={"path": "/o", "removed_documents": "keep"}), "f", "s") == usual


def _entry(corpus: str, order: int, *types: str) -> dict[str, object]:
    return {"corpus": corpus, "order": order, "types": list(types)}


def test_rows_of_a_corpus_are_those_of_runs_over_it_or_a_part_of_it() -> None:
    marker = {"runs": {"a": _entry("/c", 1, "x"), "b": _entry("/c/day=1", 2, "x"), "c": _entry("/c2", 3, "x")}}
    assert runs_over(marker, "/c") == ["a", "b"]
    assert runs_over(marker, "/c/day=1") == ["b"]
    assert runs_over(marker, "/") == ["a", "b", "c"]
    assert next_order(marker) == 4


def test_a_run_is_current_until_a_later_one_publishes_the_same_labels_of_its_corpus() -> None:
    runs = {"a": _entry("/c", 1, "x", "y")}
    assert is_current({"runs": runs}, "a")
    assert not is_current({"runs": runs}, "b")
    assert not is_current(None, "a")
    for later, current in (
        (_entry("/other", 2, "x"), True),
        (_entry("/c", 2, "z"), True),
        (_entry("/c", 2, "y", "z"), False),
        (_entry("/c/day=1", 2, "x"), False),
        (_entry("/c", 0, "x"), True),
    ):
        assert is_current({"runs": {**runs, "b": later}}, "a") is current
