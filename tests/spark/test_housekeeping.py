"""Compacting, pruning and forgetting change nothing for those who go on working, and leave no trace of what must go."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.support.answering import Corpus, answer, documents, rows_of, write_rows
from tests.support.crash_points import KILLED
from tests.support.invariants import check_prompts
from uniner_dist.annotations.card import write_card
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.cli.export import ExportOptions, run_export
from uniner_dist.cli.maintenance import run_compact, run_erasure, run_prune, run_restore
from uniner_dist.completions.stage import is_complete
from uniner_dist.errors import ConfigError, RunHeldError, UnreachableError
from uniner_dist.maintenance.compact import compact
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.pipeline.renewal import is_published
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.reporting.report import build_report, write_report
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.answer_store import COMPACTED, contribute, live_files, read_manifests, sweep
from uniner_dist.storage.control_files import AnnotationsSummary, Publication, read_control, record_values
from uniner_dist.storage.filesystem import exists, list_names, read_json, write_bytes, write_json
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout

pytestmark = pytest.mark.spark

HOUR = 3600.0


def silent(line: str) -> None:
    """Say nothing."""


def add_shard(store: StoreLayout, shard: str, passages: range, scores: bool = False, ask: str = "person") -> None:
    """Contribute the answers of a shard, one per passage."""
    rows = [
        {"passage_id": f"{i * 7919 % 1000:08x}{i:024x}", "entity_type": ask, "output": f'["{i}"]'}
        | {"prompt_tokens": i, "cached_tokens": 0, "completion_tokens": 1, "reused": False}
        | ({"logprobs": [-0.5], "tokens": [str(i)]} if scores else {})
        for i in passages
    ]
    contribute(store, "a" * 12, f"0000{shard[1:]}-0000", pa.Table.from_pylist(rows, schema=COMPLETIONS))


def read_cells(store: StoreLayout, names: list[str]) -> list[dict]:
    tables = [pq.read_table(f"{store.cells}/{name}") for name in names]
    return [row for table in tables for row in table.to_pylist()]


def test_compaction_keeps_every_answer_once_and_those_with_scores(spark: SparkSession, tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f" * 16)
    add_shard(store, "s1", range(500))
    add_shard(store, "s2", range(400, 600), scores=True)
    add_shard(store, "s3", range(3), ask="place")
    old = live_files(store)
    with hold_lease(store) as holder:
        with pytest.raises(RunHeldError, match=r"store .*: process"):
            run_compact(None, str(tmp_path), 24, None, silent)
        done = compact(spark, store, holder)
        assert compact(spark, store, holder).merged == 0, "one file is not worth it"
    assert (done.merged, done.written, done.cells, done.repeats) == (3, 1, 603, 100)
    [name] = live_files(store)
    cells = read_cells(store, [name])
    assert cells == sorted(cells, key=lambda row: (row["passage_id"], row["entity_type"]))
    keys = {(row["passage_id"], row["entity_type"]) for row in cells}
    assert len(keys) == len(cells) == 603
    assert sum(row["logprobs"] is not None for row in cells) == 200
    assert all(row["output"] == f'["{row["prompt_tokens"]}"]' for row in cells)
    assert len(read_cells(store, old)) == 703, "who has listed the old files can still read them"


def test_replaced_files_go_after_a_grace_period_and_new_ones_stay(spark: SparkSession, tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f" * 16)
    add_shard(store, "s1", range(10))
    add_shard(store, "s2", range(10, 20))
    old = set(live_files(store))
    with hold_lease(store) as holder:
        compact(spark, store, holder, grace_s=HOUR)
        add_shard(store, "s3", range(20, 30))
        assert len(live_files(store)) == 2
        # What a compaction that broke off has left: it counts for nothing and goes.
        litter = f"{COMPACTED}{int(time.time() - 2 * HOUR):012d}-{0:08x}-00000.parquet"
        write_bytes(f"{store.cells}/{litter}", b"not even a Parquet file")
        assert compact(spark, store, holder, grace_s=HOUR).deleted == 1
        assert exists(f"{store.cells}/{min(old)}")
        assert compact(spark, store, holder, grace_s=0).deleted == 2 + 2
    [name] = live_files(store)
    assert len(read_cells(store, [name])) == 30
    assert [path.name for path in Path(store.cells).iterdir()] == [name]
    sweep(store, grace_s=0)
    assert [manifest.added for manifest in read_manifests(store)] == [{name}], "it counts only by its manifest"


def _half_compacted(store: StoreLayout, kind: str, number: int) -> bool:
    """Whether a compaction in another process was killed there."""
    command = [sys.executable, "-m", "tests.support.killed_compaction", store.store, kind, str(number)]
    code = subprocess.run(command, capture_output=True, timeout=1200, check=False).returncode
    assert code in (0, KILLED)
    return code == KILLED


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["change", "file"])
def test_a_compaction_that_was_killed_anywhere_is_finished(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    template = StoreLayout(str(tmp_path / "template"), "f" * 16)
    for number in range(3):
        add_shard(template, f"s{number}", range(10 * number, 10 * number + 12))
    with hold_lease(template) as holder:
        compact(spark, template, holder, grace_s=HOUR)  # what it replaced goes with the next one
    for number in range(3, 6):
        add_shard(template, f"s{number}", range(10 * number - 5, 10 * number + 12))
    rows = {row["passage_id"]: row["output"] for row in read_cells(template, live_files(template))}
    assert len(rows) == 62
    store = StoreLayout(str(tmp_path / "store"), template.fingerprint)
    number, killed = int(kind == "file"), 0
    while True:
        shutil.rmtree(store.store, ignore_errors=True)
        shutil.copytree(template.store, store.store)
        if not _half_compacted(store, kind, number):
            break
        killed += 1
        cells = read_cells(store, live_files(store))
        assert {row["passage_id"]: row["output"] for row in cells} == rows, "readers in between miss nothing"
        with hold_lease(store) as holder:
            for _ in range(2):
                compact(spark, store, holder, grace_s=0)
        [name] = live_files(store)
        cells = read_cells(store, [name])
        assert {row["passage_id"]: row["output"] for row in cells} == rows
        assert len(cells) == len(rows), "every answer once"
        assert list_names(store.cells) == [name]
        number += 1
    assert killed >= (1 if kind == "file" else 8)


def test_who_lost_the_store_while_compacting_replaces_nothing(spark: SparkSession, tmp_path: Path) -> None:
    store = StoreLayout(str(tmp_path), "f" * 16)
    add_shard(store, "s1", range(10))
    add_shard(store, "s2", range(10, 20))
    old = live_files(store)
    with hold_lease(store) as holder:
        write_json(f"{store.lease_folder}/{holder.generation + 1:06d}.json", {"host": "other", "pid": 1, "since": 0})
        with pytest.raises(RunHeldError):
            compact(spark, store, holder)
    assert live_files(store) == old


def test_a_corpus_goes_on_over_a_compacted_store(corpus: Corpus) -> None:
    corpus.write(documents(range(20)))
    first = corpus.run()
    store = corpus.open().store
    assert len(live_files(store)) > 2
    run_compact(store=store.store, workdir=None, grace_hours=0, master=None, say=silent)
    assert len(live_files(store)) == 1
    corpus.write(documents(range(20)) | documents(range(20, 22), "Nadia"))
    second = corpus.run()
    assert len(second) == 4
    run_compact(store=store.store, workdir=None, grace_hours=0, master=None, say=silent)
    run_compact(store=store.store, workdir=None, grace_hours=0, master=None, say=silent)
    corpus.write(documents(range(5, 20)))
    assert not corpus.run()
    assert corpus.rows == corpus.full()[0]
    assert not second & first


def trace_of(folder: Path, words: list[str]) -> list[str]:
    """Files below a folder in which any word stands: in their bytes, or in their rows when they are Parquet."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if content[:4] == b"PAR1":
            content += json.dumps(pq.ParquetFile(path).read().to_pylist(), ensure_ascii=False, default=str).encode()
        found += [f"{path}: {word}" for word in words if word.encode() in content]
    return found


def test_a_forgotten_document_leaves_no_trace_and_everything_else_stays(corpus: Corpus) -> None:
    secret = "Zoltan Quux lives in Xanadu."
    long = " ".join(f"Zoltan wrote letter {i} to Yvonne in Xanadu." for i in range(80))
    kept = documents(range(12)) | {"other": {"text": "Erik and Paula saw Garbled Oslo.", "domain": "mail"}}
    gone = {
        "gone-1": {"text": secret, "domain": "news"},
        "gone-2": {"text": long, "domain": "news"},
        "gone-3": {"text": "Zoltan wrote Garbled words.", "domain": "mail"},
        "gone-4": {"text": kept["d003"]["text"], "domain": "news"},  # another document has the same text
    }
    options = {"engine.extra": {"log": str(corpus.folder / "log.jsonl"), "garbage": "Garbled"}}
    corpus.write(kept | gone)
    corpus.run(**options)
    store = corpus.open().store
    run_compact(None, store.store, 24, None, silent)  # the replaced files stay for a grace period

    corpus.write(kept | gone | {"gone-1": {"text": secret + " Really.", "domain": "news"}})
    table = pa.table({"doc_id": ["gone-1", "rejected"], "text": ["Zoltan again", " "]})
    pq.write_table(table, corpus.folder / "corpus" / "domain=news" / "again.parquet")
    second = corpus.open(**options)
    summary = write_prompts(corpus.spark, second)
    assert summary.rejects == {"blank_text": 1, "duplicate_id": 1}
    answer(second)
    write_annotations(corpus.spark, second)
    published = Publication.model_validate(record_values(publish(corpus.spark, second)))
    counted = read_control(second.layout.annotations_summary, AnnotationsSummary)
    write_report(second, build_report(second, counted, published))

    later = {"gone-1": {"text": "Zoltan came back with Vera.", "domain": "mail"}}
    corpus.write(kept | gone | later | documents(range(50, 60), "Nadia"))
    half = corpus.open(**options)
    write_prompts(corpus.spark, half)
    answer(half, shards=1)
    before = [row for row in corpus.rows if row["doc_id"] not in gone]
    run_export(ExportOptions(half.config.output.path, str(corpus.folder / "export"), "brat"), (), [], silent)
    write_card(corpus.spark, second)
    places = [place for place in corpus.folder.iterdir() if place.is_dir() and place.name != "corpus"]
    assert {"export", *(f"annotations.{end}" for end in ("card", "exports", "lease"))} <= {
        place.name for place in places
    }
    words = ["Zoltan", "Xanadu", *gone]
    assert len({line.split(": ")[1] for place in places for line in trace_of(place, words)}) == len(words)
    assert "Garbled" in Path(second.layout.report_page).read_text(), "the page quotes documents"

    with hold_lease(half.layout), pytest.raises(RunHeldError, match="works on it"):
        run_erasure(half.layout.workdir, ["gone-1"], None, silent)
    names = corpus.folder / "names.txt"
    names.write_text("gone-3\ngone-4\r\n")
    erasure = run_erasure(half.layout.workdir, ["gone-1", "gone-2"], str(names), silent)
    assert (erasure.annotations, erasure.other_rows) == (8, 1 + 2 * 2), "a duplicate, and two failures in two runs"
    assert erasure.cells > 0
    assert erasure.prompts > 0
    assert [line for place in places for line in trace_of(place, words)] == []
    assert corpus.rows == before
    assert exists(second.layout.report_page)
    assert not run_erasure(half.layout.workdir, ["gone-1"], None, silent).found_any

    # What is left goes on: the half run to its end, the published one once more, and the store serves both.
    check_prompts(half)
    check_prompts(second)
    answer(half)
    assert is_complete(half)
    write_annotations(corpus.spark, half)
    publish(corpus.spark, half)
    write_annotations(corpus.spark, second, again=True)
    corpus.write(kept | documents(range(50, 60), "Nadia"))
    assert not corpus.run(**options)
    assert corpus.rows == corpus.full(**options)[0]


def test_an_output_of_which_everything_is_forgotten_is_an_empty_dataset(corpus: Corpus) -> None:
    corpus.write(documents(range(2)))
    corpus.run()
    run = corpus.open()
    erasure = run_erasure(run.layout.workdir, list(documents(range(2))), None, silent)
    assert erasure.annotations == 4
    assert corpus.rows == []
    columns = corpus.spark.read.parquet(run.config.output.path).columns
    assert {"doc_id", "entity_type", "domain", "entities"} <= set(columns)
    corpus.write(documents(range(3)))
    assert len(corpus.run()) == 2, "what was forgotten stays away"
    assert len(corpus.rows) == 2
    assert run_restore(run.layout.workdir, ["d000"], None, silent) == 1
    corpus.write(documents(range(3)) | {"d001": {"text": "Another text of Nora.", "domain": "news"}})
    assert len(corpus.run()) == 4, "one was let back, the other one has another text"
    assert corpus.rows == corpus.full()[0]


def test_pruned_runs_keep_no_text_and_cost_no_answer(corpus: Corpus) -> None:
    long = {"long": {"text": " ".join(f"Letter {i} of Paula to Erik." for i in range(99)), "domain": "mail"}}
    corpus.write(documents(range(10)) | long)
    corpus.run()
    run = corpus.open()
    corpus.report(run)
    workdir = run.layout.workdir
    with hold_lease(run.layout):
        pass
    run_prune(workdir, 1, silent)
    assert exists(run.layout.shards), "too young"
    run_prune(workdir, 0, silent)
    assert trace_of(Path(run.layout.root), ["Paula"]) == []
    assert is_published(run)
    assert read_json(run.layout.prompts_summary)["documents"] == 11

    corpus.write(documents(range(10)) | documents(range(10, 12), "Nadia") | long)
    assert len(corpus.run()) == 4
    assert corpus.rows == corpus.full()[0]
    run_erasure(workdir, ["d001"], None, silent)
    occurrences = pads.dataset(run.layout.occurrences, format="parquet").to_table().to_pylist()
    assert {row["document"]["doc_id"] for row in occurrences} == {*documents(range(10)), "long"} - {"d001"}


def test_a_run_does_not_start_while_all_runs_are_changed(corpus: Corpus) -> None:
    corpus.write(documents(range(2)))
    run = corpus.open()
    everything = WorkdirLayout(run.layout.workdir)
    with hold_lease(everything), pytest.raises(RunHeldError, match="changes all its runs"), working_on(run):
        pass
    with working_on(run):
        pass
    with pytest.raises(ConfigError, match="there are no runs"):
        run_prune(str(corpus.folder / "nowhere"), 1, silent)
    with pytest.raises(ConfigError, match="name at least one document"):
        run_erasure(run.layout.workdir, [], None, silent)


def test_forgetting_visits_every_store_and_workdir_that_had_to_do_with_it(corpus: Corpus) -> None:
    shared = str(corpus.folder / "shared")
    corpus.write(documents(range(3)) | {"gone": {"text": "Zoltan met Paula.", "domain": "news"}})
    corpus.run()
    workdir = corpus.open().layout.workdir
    second = {"store": shared, "output.path": str(corpus.folder / "other")}
    corpus.run(**second)  # of the same corpus
    elsewhere = {"gone": {"text": "Another gone one: Yvonne.", "domain": "news"}, "x": {"text": "Nora."}}
    elsewhere["x"]["domain"] = "news"
    third = corpus.make_run(
        write_rows(corpus.folder / "elsewhere", elsewhere),
        **{"store": shared, "output.path": str(corpus.folder / "third")},
        **{"engine.extra": {"log": str(corpus.folder / "log.jsonl")}},
    )
    write_prompts(corpus.spark, third)
    answer(third)
    write_annotations(corpus.spark, third)
    publish(corpus.spark, third)
    corpus.run(store=shared)  # the first workdir's finished run, once with another store
    said: list[str] = []
    run_erasure(workdir, ["gone"], None, said.append)
    places = [path for path in corpus.folder.iterdir() if path.name not in ("corpus", "elsewhere", "log.jsonl")]
    found = [line for place in places if place.is_dir() for line in trace_of(place, ["Zoltan"])]
    assert found == []
    assert any(str(corpus.folder / "third.work") in line and "they stay" in line for line in said)
    assert {row["doc_id"] for row in rows_of(str(corpus.folder / "third"))} == {"gone", "x"}
    assert "gone" not in {row["doc_id"] for row in rows_of(str(corpus.folder / "other"))}
    assert not corpus.run(**second), "it stays away there, too"

    shutil.move(shared, str(corpus.folder / "moved"))
    with pytest.raises(UnreachableError, match=rf"(?s)not everything could be visited.*store {shared} is not there"):
        run_erasure(workdir, ["d000"], None, silent)
    assert "d000" not in {row["doc_id"] for row in corpus.rows}, "what is within reach was erased"
