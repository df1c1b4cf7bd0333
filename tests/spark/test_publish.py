"""Publishing: what is replaced, what stays, and what a crash leaves."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.invariants import check_files, check_output, read_annotations
from tests.support.scripted import capitalised, complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.rewrite import relative_to
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.errors import AuditError, RunHeldError, StageError, ThresholdError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.storage import commit
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import read_shards

pytestmark = pytest.mark.spark

LABELS = ["person", "PLACE"]


def _rows(numbers: range, day: str, name: str = "Ada") -> list[dict[str, Any]]:
    return [{"doc_id": i, "text": f"{name} wrote note {i} to Bob.", "day": day} for i in numbers]


def _texts(*groups: list[dict[str, Any]]) -> dict[Any, str]:
    return {row["doc_id"]: row["text"] for rows in groups for row in rows}


def _stage(spark: SparkSession, run: Run) -> Run:
    """Everything up to the publication."""
    write_prompts(spark, run)
    complete(run)
    write_annotations(spark, run)
    return run


def test_rows_of_other_documents_and_labels_stay(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    monday, tuesday = _rows(range(10), "mo"), _rows(range(10, 15), "tu")
    first = _stage(spark, make_run(write_corpus(tmp_path / "c1", monday, ["day"])))
    output = first.config.output.path
    assert publish(spark, first).rows == 20
    check_output(output, _texts(monday), LABELS)

    second = _stage(spark, make_run(write_corpus(tmp_path / "c2", tuesday, ["day"])))
    assert publish(spark, second).rows_replaced == 0
    check_output(output, _texts(monday, tuesday), LABELS)

    # Documents 8 and 9 moved to Tuesday, 10 to a new day; person only, so that PLACE rows of their old texts go.
    moved = _rows(range(8, 10), "tu", "Eve") + _rows(range(10, 11), "we", "Eve")
    third = _stage(spark, make_run(write_corpus(tmp_path / "c3", moved, ["day"]), types="person"))
    entry = publish(spark, third)
    assert (entry.rows, entry.rows_replaced, entry.rows_of_other_types_removed, entry.files_rewritten) == (3, 3, 3, 4)
    rows = read_annotations(output)
    assert Counter((r["doc_id"], r["entity_type"]) for r in rows) == Counter(
        {(i, label): 1 for i in range(15) for label in LABELS if label == "person" or i not in (8, 9, 10)}
    )
    found = {(r["doc_id"], r["entity_type"]): r for r in rows}
    assert [found[i, "person"]["day"] for i in (7, 8, 10)] == ["mo", "tu", "we"]
    assert [found[i, "PLACE"]["day"] for i in (7, 11)] == ["mo", "tu"]
    assert found[8, "person"]["entities"][0]["text"] == "Eve"
    assert {r["run_id"] for r in rows} == {first.id, second.id, third.id}
    check_files(output)
    assert set(read_marker(output).runs) == {first.id, second.id, third.id}
    assert not list(Path(output).parent.glob("*.publishing-*"))
    _check_readers(spark, output, 27)


def test_each_file_holds_one_type_of_one_folder_in_the_order_of_ids(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    days = [*_rows(range(0, 400, 2), "mo"), *_rows(range(1, 400, 2), "tu")]
    shuffled = sorted(days, key=lambda row: hash((row["doc_id"], "seed")))
    run = _stage(spark, make_run(write_corpus(tmp_path / "c", shuffled, ["day"])))
    files = [str(path) for path in Path(run.layout.staging).rglob("*.parquet")]
    assert len(files) == 4
    for file in files:
        ids = pd.read_parquet(file, partitioning=None)["doc_id"].tolist()
        assert len(ids) == 200
        assert ids == sorted(ids)


def test_columns_of_the_corpus_may_have_the_names_of_working_columns(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    names = ("answer", "answers", "label", "document", "passage_id", "outcome_")
    rows = [row | dict.fromkeys(names, f"of {row['doc_id']}") for row in _rows(range(6), "mo")]
    run = _stage(spark, make_run(write_corpus(tmp_path / "c", rows, []), **{"corpus.keep_columns": ",".join(names)}))
    publish(spark, run)
    published = read_annotations(run.config.output.path)
    assert len(published) == 12
    assert all(row[name] == f"of {row['doc_id']}" for row in published for name in names)


def _check_readers(spark: SparkSession, output: str, rows: int) -> None:
    """Other tools see the same rows."""
    assert spark.read.parquet(output).count() == rows
    assert len(pd.read_parquet(output)) == rows
    query = f"SELECT count(*) FROM read_parquet('{output}/**/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(query).fetchall() == [(rows,)]


def test_published_run_changes_nothing_when_started_again(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    rows = _rows(range(4), "mo")
    first = _stage(spark, make_run(write_corpus(tmp_path / "c1", rows, ["day"])))
    entry = publish(spark, first)
    again = _rows(range(2), "mo", "Eve")
    publish(spark, _stage(spark, make_run(write_corpus(tmp_path / "c2", again, ["day"]))))
    before = read_annotations(first.config.output.path)
    summary = write_annotations(spark, first)
    assert summary.rows == 8
    assert publish(spark, first) == entry
    assert read_annotations(first.config.output.path) == before

    committed = list(Path(first.layout.completions).glob("*.parquet"))
    assert committed
    for path in committed:
        path.unlink()
    complete(first, lambda text, ask: '["note"]' if ask == "person" else capitalised(text, ask))
    write_annotations(spark, first, again=True)
    assert publish(spark, first, again=True).times_published == 2
    found = {(r["doc_id"], r["entity_type"]): r for r in read_annotations(first.config.output.path)}
    assert len(found) == 8
    assert found[0, "person"]["entities"][0]["text"] == "note"


class _Crash(Exception):
    """A process that died."""


def test_crash_between_journal_and_marker_is_repaired_by_the_next_start(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = _rows(range(6), "mo"), _rows(range(3, 8), "tu", "Eve")
    publish(spark, _stage(spark, make_run(write_corpus(tmp_path / "c1", old, ["day"]))))
    run = _stage(spark, make_run(write_corpus(tmp_path / "c2", new, ["day"])))
    output = run.config.output.path
    _crash_after(monkeypatch, 1)
    with pytest.raises(_Crash):
        publish(spark, run)
    check_files(output)
    assert run.id not in read_marker(output).runs
    monkeypatch.undo()
    write_annotations(spark, run)  # the staged files belong to the journal now and stay as they are
    publish(spark, run)
    check_output(output, _texts(old, new), LABELS)
    assert run.id in read_marker(output).runs
    assert not os.path.exists(run.layout.publication)


def test_next_run_finishes_what_another_left_half_published(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _rows(range(3), "mo"), _rows(range(2, 5), "tu", "Eve")
    run = _stage(spark, make_run(write_corpus(tmp_path / "c1", first, ["day"])))
    _crash_after(monkeypatch, 1)
    with pytest.raises(_Crash):
        publish(spark, run)
    monkeypatch.undo()
    other = _stage(spark, make_run(write_corpus(tmp_path / "c2", second, ["day"])))
    publish(spark, other)
    check_output(run.config.output.path, _texts(first, second), LABELS)
    assert set(read_marker(run.config.output.path).runs) == {run.id, other.id}


def _crash_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let `steps` folders change, then die."""
    done = []
    real = commit.apply_change

    def apply_change(*arguments: Any) -> None:
        if len(done) == steps:
            raise _Crash
        done.append(1)
        real(*arguments)

    monkeypatch.setattr("uniner_dist.annotations.journal.apply_change", apply_change)


def test_a_holder_that_lost_its_run_publishes_nothing_more(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    """The process wakes up before the n-th step that others could see; the one that took over does the rest."""
    old, new = _rows(range(6), "mo"), _rows(range(3, 8), "tu", "Eve")
    publish(spark, _stage(spark, make_run(write_corpus(tmp_path / "c1", old, ["day"]))))
    run = _stage(spark, make_run(write_corpus(tmp_path / "c2", new, ["day"])))
    output = run.config.output.path
    steps = 0
    while True:
        left = [steps]

        def check(left: list[int] = left) -> None:
            if not left[0]:
                raise RunHeldError("taken over")
            left[0] -= 1

        before = _contents(output)
        try:
            publish(spark, run, check=check)
            break
        except RunHeldError:
            assert _contents(output) == before or steps > 1, "no step is seen before the first check passed"
            assert run.id not in read_marker(output).runs or steps > 4
            check_files(output)
        steps += 1
    assert steps > 5, "before the journal, the marker, every folder, and the end"
    check_output(output, _texts(old, new), LABELS)


def _contents(output: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(output).rglob("*") if path.is_file()}


def test_two_runs_that_publish_at_the_same_time_both_end_up_in_the_output(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    """Over different partitions and over the same ones: who is second replaces the shared documents of the first."""
    groups = [_rows(range(4), "mo"), _rows(range(2, 6), "mo", "Eve"), _rows(range(6, 9), "tu")]
    runs = [_stage(spark, make_run(write_corpus(tmp_path / f"c{i}", rows, ["day"]))) for i, rows in enumerate(groups)]
    with ThreadPoolExecutor(3) as threads:
        entries = list(threads.map(lambda run: publish(spark, run), runs))
    output = runs[0].config.output.path
    found = {(row["doc_id"], row["entity_type"]): row for row in read_annotations(output)}
    assert found.keys() == {(i, label) for i in range(9) for label in LABELS}
    assert len(read_annotations(output)) == 18
    [winner] = {found[i, label]["run_id"] for i in (2, 3) for label in LABELS}
    assert winner in (runs[0].id, runs[1].id)
    assert sorted(entry.rows_replaced for entry in entries) == [0, 0, 4]
    assert set(read_marker(output).runs) == {run.id for run in runs}
    check_files(output)


def test_output_without_folders_is_exchanged_as_a_whole(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    old, new = _rows(range(6), "mo"), _rows(range(3, 8), "mo", "Eve")
    options = {"output.partition_by": []}
    publish(spark, _stage(spark, make_run(write_corpus(tmp_path / "c1", old), **options)))
    run = _stage(spark, make_run(write_corpus(tmp_path / "c2", new), **options))
    publish(spark, run)
    check_output(run.config.output.path, _texts(old, new), LABELS)
    assert len(read_marker(run.config.output.path).runs) == 2


def test_corpus_without_documents_publishes_an_empty_readable_dataset(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    bad = [{"doc_id": 1, "text": " ", "day": "mo"}]
    run = _stage(spark, make_run(write_corpus(tmp_path / "c1", bad, ["day"])))
    output = run.config.output.path
    assert publish(spark, run).rows == 0
    frame = spark.read.parquet(output)
    assert {"doc_id", "entity_type", "entities", "day"} <= set(frame.columns)
    _check_readers(spark, output, 0)
    rows = _rows(range(3), "mo")
    publish(spark, _stage(spark, make_run(write_corpus(tmp_path / "c2", rows, ["day"]))))
    check_output(output, _texts(rows), LABELS)


def test_nothing_is_published_when_too_many_cells_failed(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    run = make_run(write_corpus(tmp_path / "c1", _rows(range(4), "mo"), ["day"]), **{"run.max_failed_fraction": 0.05})
    write_prompts(spark, run)
    complete(run, lambda text, ask: None if ask == "person" else "[]")
    with pytest.raises(
        ThresholdError,
        match=r"annotations failed, more than run\.max_failed_fraction=0\.05 allows.* 4 engine_error \('refused'\)",
    ):
        write_annotations(spark, run)
    assert not os.path.exists(run.config.output.path)


def test_audit_refuses_missing_and_foreign_completions(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    run = make_run(write_corpus(tmp_path / "c1", _rows(range(40), "mo"), ["day"]))
    write_prompts(spark, run)
    complete(run)
    one, two, *_ = (run.layout.completions_file(shard) for shard in read_shards(run.layout)["shard"].to_pylist())
    Path(one).unlink()
    with pytest.raises(AuditError, match="1 of 8 shards have no completions"):
        write_annotations(spark, run)
    Path(one).write_bytes(Path(two).read_bytes())
    with pytest.raises(StageError, match="shard is"):
        write_annotations(spark, run)


def test_files_are_named_relative_to_the_output_whatever_signs_are_in_them() -> None:
    assert relative_to("/data/my out", "file:///data/my%20out/a=x%252Fy/part-0.parquet") == "a=x%2Fy/part-0.parquet"
