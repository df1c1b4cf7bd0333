"""Two attempts of one task both write, and of different bytes: one of them counts, whole, and the other nowhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.completions import completions
from uniner_dist.annotations.rewrite import FileRewriter
from uniner_dist.core.hashing import passage_id
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.maintenance.compact import CellWriter
from uniner_dist.prompts.packing import Packing
from uniner_dist.prompts.shard_writer import ShardWriter, _whole_buckets
from uniner_dist.schemas import CELLS, SHARDS
from uniner_dist.spark.dataset_tasks import FileWriter, Kept, Written
from uniner_dist.spark.datasets import count_kept
from uniner_dist.storage.answer_store import live_files, next_sequence, write_manifest
from uniner_dist.storage.attempts import (
    COUNTED,
    count_files,
    count_written,
    counted_files,
    part_name,
    whole_attempts,
)
from uniner_dist.storage.filesystem import find_files, join, list_names, remove, write_bytes, write_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout
from uniner_dist.storage.shards import (
    committed_shards,
    prompts_file,
    read_prompts,
    read_shards,
    write_completions,
    write_shards,
)
from uniner_dist.storage.stage_files import counting, is_whole, remove_shards, remove_until_now, token_of

#: What Spark calls the files of one write.
WRITE = "0d2c1f3e-1111-4222-8333-0123456789ab"


def _passages(texts: list[str], known: tuple[str, ...] = ()) -> pa.RecordBatch:
    """What a task of stage 1 is handed; the store answers `known`."""
    kept = [field for field in CELLS if field.name not in ("passage_id", "entity_type")]
    kind = pa.list_(pa.struct([pa.field("ask", pa.int32()), *kept]))
    answer = {"ask": 0, "output": "[]", "prompt_tokens": 1, "completion_tokens": 1}
    rows = sorted((passage_id(text), text) for text in texts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([0] * len(rows), pa.int32()),
            pa.array([key for key, _ in rows]),
            pa.array([text for _, text in rows]),
            pa.array([[answer] if text in known else [] for _, text in rows], kind),
        ],
        names=["bucket", "passage_id", "text", "cells"],
    )


def _write(layout: RunLayout, passages: pa.RecordBatch) -> list[dict[str, object]]:
    writer = ShardWriter(layout, "f" * 16, ["person"], Packing(1, 100, 1, 10, (5,)))
    return [row for rows in writer(iter([passages])) for row in rows.to_pylist()]


def _summarise(layout: RunLayout, **more: int) -> None:
    names = ("rows", "documents", "passages", "unique_passages", "prompts", "prompts_known", "prompts_to_ask", "shards")
    write_json(layout.prompts_summary, dict.fromkeys(names, 1) | {"rejects": {}} | more)


def _texts(layout: RunLayout) -> list[str]:
    return [
        text
        for name in read_shards(layout)["shard"].to_pylist()
        for text in read_prompts(layout, name)["text"].to_pylist()
    ]


def test_prompts_and_known_answers_of_two_attempts_do_not_mix(tmp_path: Path) -> None:
    """Between the two the corpus has changed, so that they cut their bucket otherwise."""
    layout = RunLayout(str(tmp_path), "a" * 12, token=3)
    first = _write(layout, _passages(["one", "two", "three " * 40, "known"], known=("known",)))
    second = _write(layout, _passages(["one", "other", "known", "new"], known=("known", "new")))
    late = _write(layout, _passages(["late", "known"], known=("known",)))
    assert not {row["shard"] for row in first} & {row["shard"] for row in [*second, *late]}
    write_shards(layout, pa.Table.from_pylist(second, schema=SHARDS))
    assert sorted(_texts(layout)) == ["known", "new", "one", "other"]
    assert all(token_of(str(row["shard"])) == 3 for row in second)
    answered = committed_shards(layout) & {row["shard"] for row in second}
    assert {text for name in answered for text in read_prompts(layout, name)["text"].to_pylist()} == {"known", "new"}


def test_who_was_replaced_removes_no_shard_of_the_successor(tmp_path: Path) -> None:
    old, new = (RunLayout(str(tmp_path), "a" * 12, token=token) for token in (1, 2))
    write_bytes(prompts_file(old, "00000-0000"), b"of an earlier release")
    _write(old, _passages(["old"]))
    rows = _write(new, _passages(["new", "known"], known=("known",)))
    write_shards(new, pa.Table.from_pylist(rows, schema=SHARDS))
    remove_shards(old)
    assert sorted(_texts(new)) == ["known", "new"]
    assert len(list_names(new.prompts)) == len(rows)
    _summarise(new)
    assert is_whole(new)
    for token in (1, 2):
        write_bytes(join(new.publishing, f"{token:06d}", "staged.json"), b"")
    for folder in (old.publishing, old.completions, old.prompts):
        remove_until_now(old, folder)
    assert list_names(new.publishing) == ["000002"]
    assert is_whole(new)
    remove_shards(new)
    assert not is_whole(new)
    assert not Path(new.prompts).exists()


def test_what_a_replaced_process_writes_late_counts_nowhere(tmp_path: Path) -> None:
    old, new = (RunLayout(str(tmp_path), "a" * 12, token=token) for token in (1, 2))
    rows = pa.table({"a": [1]})

    def write(layout: RunLayout, folder: str) -> None:
        Path(layout.own(folder)).mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, join(layout.own(folder), f"part-00000-{WRITE}-c000.parquet"))
        count_written(layout.own(folder))

    for folder in (old.occurrences, old.rejects, old.quarantine):
        assert counting(folder) == folder, "nothing is there yet"
        write(old, folder)
        assert counting(folder) == old.own(folder)
        os.makedirs(new.own(folder))
        assert counting(folder) == old.own(folder), "the successor has not come to its end"
        write(new, folder)
        write(old, folder)
        assert counting(folder) == new.own(folder)
        remove_until_now(old, folder)
        assert list_names(folder) == ["lease=000002"]
        assert pq.read_table(folder)["a"].to_pylist() == [1]


def test_a_run_of_an_earlier_release_is_read_and_removed(tmp_path: Path) -> None:
    layout, shard = RunLayout(str(tmp_path), "a" * 12, token=1), "00007-known-0001"
    write_bytes(prompts_file(layout, shard), b"")
    write_completions(layout.completions_file(shard), shard, "f", completions(["[]"]))
    row = {"shard": shard, "prompts": 1, "asked": 1, "passages": 1, "estimated_tokens": 1}
    write_shards(layout, pa.Table.from_pylist([row], schema=SHARDS))
    _summarise(layout)
    assert (token_of(shard), is_whole(layout), committed_shards(layout)) == (0, True, {shard})
    _summarise(layout, occurrences_files=2)
    write_bytes(join(layout.occurrences, "part-0.parquet"), b"")
    assert not is_whole(layout), "one of the two files of occurrences is gone"
    remove_shards(layout)
    assert committed_shards(layout) == set()


@pytest.mark.parametrize("folder", ["occurrences", "rejects"])
@pytest.mark.parametrize("loss", ["a file is gone", "a file is cut short", "a file is empty", "the folder is gone"])
def test_what_stage_1_has_lost_is_missed(tmp_path: Path, folder: str, loss: str) -> None:
    layout = RunLayout(str(tmp_path), "a" * 12, token=1)
    for name in ("occurrences", "rejects"):
        for number in range(2):
            Path(layout.root, name).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"a": [1]}), Path(layout.root, name, f"part-0000{number}-{WRITE}-c000.parquet"))
        count_written(join(layout.root, name))
    write_shards(layout, SHARDS.empty_table())
    _summarise(layout, occurrences_files=2, rejects_files=2)
    assert is_whole(layout)
    write_bytes(join(layout.root, folder, "part-0.parquet"), b"of a task that nobody waits for any more")
    assert is_whole(layout)
    path = Path(layout.root, folder, f"part-00001-{WRITE}-c000.parquet")
    content = path.read_bytes()
    if loss == "the folder is gone":
        shutil.rmtree(path.parent)
    elif loss == "a file is gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if loss == "a file is cut short" else b"")
    assert not is_whole(layout)


def test_two_writes_of_one_folder_at_a_time_are_an_error(tmp_path: Path) -> None:
    for write in (WRITE, WRITE.replace("0", "1")):
        (tmp_path / f"part-00000-{write}.c000.snappy.parquet").write_bytes(b"")
    with pytest.raises(StageError, match="another process writes there"):
        count_written(str(tmp_path))


def _batches(values: list[int], task: int = 0) -> Iterator[pa.RecordBatch]:
    for value in values:
        yield pa.RecordBatch.from_pydict({"_task": pa.array([task]), "value": pa.array([value])})


def test_a_table_consists_of_the_files_that_its_tasks_named(tmp_path: Path) -> None:
    path = str(tmp_path)
    writer = FileWriter(path, max_records=1)
    [lost], [counted] = list(writer(_batches([1, 2, 3]))), list(writer(_batches([4, 5])))
    assert (lost["rows"].to_pylist(), counted["rows"].to_pylist()) == ([3], [2])
    count_files(path, counted["files"].to_pylist()[0])
    assert list(find_files(path)) == list(counted_files(path)), "what does not count is gone"
    list(writer(_batches([6])))  # an attempt that nobody waits for any more
    rows = [pq.read_table(join(path, name))["value"].to_pylist() for name in counted_files(path)]
    assert rows == [[4], [5]]
    remove(join(path, next(iter(counted_files(path)))))
    with pytest.raises(ConfigError, match="is gone"):
        counted_files(path)


def test_a_file_of_every_folder_is_named(tmp_path: Path) -> None:
    batch = {"_task": pa.array([0, 0]), "_folder_0": pa.array(["a b", None], pa.string()), "value": pa.array([1, 2])}
    [done] = list(FileWriter(str(tmp_path), ("day",))(iter([pa.RecordBatch.from_pydict(batch)])))
    assert set(done["files"].to_pylist()[0]) == set(find_files(str(tmp_path)))


def test_of_rows_that_were_passed_on_one_whole_attempt_counts(tmp_path: Path) -> None:
    path = str(tmp_path)
    kept = Kept(lambda batches: iter([batch.select(["value"]) for batch in batches]), path)
    died = kept(_batches([7, 8]))
    next(died)
    for values in ([1, 2], [3, 4, 5]):
        assert len(list(kept(_batches(values)))) == len(values)
    count_kept(path)
    [name] = counted_files(path)
    assert pq.read_table(join(path, name))["value"].to_pylist() in ([1, 2], [3, 4, 5])
    [done] = list(Written(lambda batches: batches, path)(_batches([9])))
    assert (done["rows"].to_pylist(), len(done["files"].to_pylist()[0])) == ([1], 1)


def test_an_attempt_is_whole_if_its_last_file_is_there_and_all_before() -> None:
    whole = [part_name(0, "b" * 8, 0), part_name(0, "b" * 8, 1, last=True)]
    others = [part_name(0, "a" * 8, 0), part_name(0, "c" * 8, 1, last=True), part_name(1, "d" * 8, 0, last=True)]
    assert whole_attempts([*others, *whole, "part-0.parquet"]) == [*whole, others[2]]
    assert whole_attempts([part_name(0, "e" * 8, 0)]) == []


def test_rewritten_files_of_two_attempts_have_two_names(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    pq.write_table(pa.table({"doc_id": ["1", "2", "3"]}), tmp_path / "out/part-0.parquet")
    carried = []
    for rows in ([0], [0, 1]):
        batch = {"file": [f"{tmp_path}/out/part-0.parquet"], "rows": [rows]}
        batch |= {name: [1] for name in ("replaced", "removed", "edited", "claimed")} | {"runs": [["a"]]}
        rewriter = FileRewriter(str(tmp_path / "out"), str(tmp_path / "rewritten"), "a" * 12)
        [done] = rewriter(iter([pa.RecordBatch.from_pydict(batch)]))
        carried += done["carried"].to_pylist()
    assert [pq.read_table(path)["doc_id"].to_pylist() for path in carried] == [["2", "3"], ["3"]]


def test_compacted_files_count_by_their_manifest_only(tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f" * 16)
    row = {"entity_type": "person", "output": "[]", "prompt_tokens": 1, "completion_tokens": 1}
    files = []
    for count in (3, 2):
        table = pa.Table.from_pylist([row | {"passage_id": f"{i:032x}"} for i in range(count)], schema=CELLS)
        batch = table.append_column("bucket", pa.array(np.zeros(count, dtype=np.int32))).to_batches()
        files += [name for done in CellWriter(store)(iter(batch)) for name in done["file"].to_pylist()]
    assert len(set(files)) == 2
    write_manifest(store, next_sequence(store), files[1:], [])
    assert live_files(store) == files[1:]
    assert list_names(store.cells) == sorted(files)


def test_a_list_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    write_bytes(f"{tmp_path}/d/part-0.parquet", b"")
    (tmp_path / "d" / COUNTED).write_text('{"files": ["../secret.parquet"]}')
    with pytest.raises(ConfigError):
        counted_files(f"{tmp_path}/d")


def test_a_batch_without_rows_between_those_of_a_bucket_changes_nothing() -> None:
    batch = pa.RecordBatch.from_pydict({"bucket": pa.array([0, 0, 2], pa.int32())})
    empty = batch.slice(0, 0)
    found = [(bucket, len(rows)) for bucket, rows in _whole_buckets(iter([empty, batch, empty, batch.slice(2), empty]))]
    assert found == [(0, 2), (2, 2)]
