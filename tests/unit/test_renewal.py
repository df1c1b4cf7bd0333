"""A run of another day is planned anew: nothing that was paid for is lost, and nothing of the past is published."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.completions import completions
from tests.support.published import published, write_marker
from uniner_dist.annotations.journal import changes_by_folder
from uniner_dist.config.loading import validate_tree
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.pipeline.renewal import can_be_mended, feed_store, is_present, renew
from uniner_dist.run.publication_state import claim_of
from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.storage.answer_store import contribute, live_files, store_state
from uniner_dist.storage.control_files import Journal, Marker, PublishedRun, write_control
from uniner_dist.storage.filesystem import exists, find_files, join, list_names, remove, write_bytes, write_json
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import prompts_file, write_completions, write_shards

SHARD = "00000-0000"


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["Paula."]}), tmp_path / "corpus/part-0.parquet")
    return {"corpus": {"path": str(tmp_path / "corpus")}, "output": {"path": str(tmp_path / "out")}, "types": "person"}


@pytest.fixture
def run(tree: dict[str, Any]) -> Run:
    """A run whose only shard has two answers and a failure, none of them in the store yet."""
    run = open_run(validate_tree(tree))
    row = {"shard": SHARD, "prompts": 3, "asked": 3, "passages": 3, "estimated_tokens": 9}
    write_bytes(prompts_file(run.layout, SHARD), b"")
    write_shards(run.layout, pa.Table.from_pylist([row], schema=SHARDS))
    table = completions(["[]", '["Paula"]', None])
    write_completions(run.layout.completions_file(SHARD), SHARD, run.fingerprint, table)
    _plan(run)
    return run


def _plan(run: Run) -> None:
    state = {"path": run.config.store_path, "state": store_state(run.store, run.id)}
    names = ("rows", "documents", "passages", "unique_passages", "prompts", "prompts_known", "prompts_to_ask", "shards")
    write_json(run.layout.prompts_summary, dict.fromkeys(names, 1) | {"rejects": {}, "store": state, "erased": ""})


def _cells(run: Run) -> list[tuple[str, str]]:
    tables = [pq.read_table(join(run.store.cells, name)) for name in live_files(run.store)]
    return sorted((row["passage_id"], row["output"]) for table in tables for row in table.to_pylist())


def _publish(run: Run, **more: Any) -> None:
    entry = PublishedRun(**asdict(claim_of(run)), order=1, touched=(), met=())
    write_marker(run.config.output.path, Marker(id_column="doc_id", runs={run.id: entry, **more}))


def _silent(line: str) -> None:
    """Say nothing."""


def _free() -> None:
    """Nobody has taken over."""


def test_a_run_that_was_cut_off_goes_on_as_it_is(tree: dict[str, Any], run: Run) -> None:
    again = open_run(validate_tree(tree))
    renew(again, _silent, _free)
    assert exists(again.layout.shards)
    assert not exists(again.layout.renewed)


def test_a_run_of_another_day_begins_anew_with_its_answers_in_the_store(tree: dict[str, Any], run: Run) -> None:
    open_run(validate_tree({**tree, "types": "location"}))
    again = open_run(validate_tree(tree))
    assert exists(again.layout.stale)
    write_json(join(again.layout.attempts, "1.0.json"), {})
    said: list[str] = []
    renew(again, said.append, _free)
    assert len(said) == 1
    assert _cells(again) == [(f"{0:032x}", "[]"), (f"{1:032x}", '["Paula"]')]
    kept = {"attempts", "config.json", "renewed.json"}
    assert set(list_names(again.layout.root)) == kept, "until what comes of it is published"


def test_a_run_whose_prompts_are_gone_begins_anew_with_its_answers(tree: dict[str, Any], run: Run) -> None:
    """A process that had been replaced may have removed them; the manifest alone would fail at every start."""
    remove(run.layout.prompts)
    said: list[str] = []
    renew(run, said.append, _free)
    assert "files of its plan are gone" in said[0]
    assert not exists(run.layout.shards)
    assert len(_cells(run)) == 2


def test_a_publication_that_was_cut_off_is_finished_before_a_new_plan(tree: dict[str, Any], run: Run) -> None:
    """Its journal goes with the run's files; without it no later publication could begin."""
    output, layout = run.config.output.path, run.layout.under(1)
    rows = pa.BufferOutputStream()
    pq.write_table(pa.table({"doc_id": ["1"]}), rows)
    write_bytes(join(layout.staging, "new.parquet"), rows.getvalue().to_pybytes())
    changes = changes_by_folder({"entity_type=person/part-0.parquet": join(layout.staging, "new.parquet")}, [])
    entry = PublishedRun(**asdict(claim_of(run)), order=1, touched=(), met=())
    write_control(layout.publication, Journal(run_id=run.id, changes=changes, entry=entry))
    write_marker(output, Marker(id_column="doc_id", partition_by=("entity_type",), publishing=layout.publication))
    open_run(validate_tree({**tree, "types": "location", "output": {"path": f"{output}2"}, "workdir": layout.workdir}))
    again = open_run(validate_tree(tree)).under(2)
    assert exists(again.layout.stale)
    renew(again, _silent, _free)
    assert not exists(again.layout.publishing)
    marker = read_marker(output)
    assert marker is not None
    assert (marker.publishing, list(marker.runs)) == (None, [run.id])
    assert list(find_files(output, ".parquet")) == ["entity_type=person/part-0.parquet"]


def test_feeding_twice_changes_nothing_and_another_store_gets_all_answers(tree: dict[str, Any], run: Run) -> None:
    feed_store(run)
    first = live_files(run.store)
    feed_store(run)
    assert live_files(run.store) == first
    reused = completions(["[]"])
    place = reused.schema.get_field_index("reused")
    write_completions(
        run.layout.known_file("00000-0001"),
        "00000-0001",
        run.fingerprint,
        reused.set_column(place, reused.schema.field(place), pa.array([True])),
    )
    feed_store(run)
    assert live_files(run.store) == first, "what came from this store is in it"
    other = open_run(validate_tree({**tree, "store": f"{tree['output']['path']}.other"}))
    assert other.id == run.id
    feed_store(other)
    assert len(_cells(other)) == 3


def test_a_failure_that_the_store_answers_by_now_can_be_mended(run: Run) -> None:
    _publish(run)
    write_json(run.layout.annotations_summary, {"rows": 1, "quarantined": 1})
    failed = pa.table({"passage_id": [f"{2:032x}"], "ask": ["person"], "raw_output": pa.nulls(1, pa.string())})
    buffer = pa.BufferOutputStream()
    pq.write_table(failed, buffer)
    write_bytes(join(run.layout.quarantine, "part-0.parquet"), buffer.getvalue().to_pybytes())
    assert not can_be_mended(run), "nothing has come since it was planned"
    contribute(run.store, "f" * 12, SHARD, completions(["[]"]))
    assert not can_be_mended(run), "an answer to something else"
    contribute(run.store, "e" * 12, SHARD, completions([None, None, '["Erik"]']))
    assert can_be_mended(run)
    write_json(run.layout.annotations_summary, {"rows": 1, "quarantined": 0})
    assert not can_be_mended(run)


def test_the_past_is_not_present_once_the_corpus_was_published_later(run: Run) -> None:
    assert is_present(run)
    _publish(run)
    assert is_present(run)
    later = published(
        run.config.corpus.path, 2, "person", opened_at=run.opened_at + 1, corpus_state="other", touched=()
    )
    _publish(run, **{"d" * 12: later})
    assert not is_present(run)
    marker = read_marker(run.config.output.path)
    assert marker is not None
    assert marker.runs[run.id].order == 1
