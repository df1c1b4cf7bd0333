"""Whole runs over a corpus that changes, without Ray: a real replica with the scripted engine, in this process."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from tests.support.invariants import check_files, check_prompts, read_annotations
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.replica import Replica
from uniner_dist.completions.work import WorkItem
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.reporting.report import build_report, write_report
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import AnnotationsSummary, Publication, read_control, record_values
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.shards import committed_shards, read_shards, shards_with_cached_answers

Cells = Counter[tuple[str, str]]
Rows = dict[str, dict[str, str]]  # id -> text, domain


def answer(run: Run, shards: int | None = None) -> Counter[tuple[str, str]]:
    """Complete the open shards of a run, or only the first so many.

    Returns:
        Every (text, question) that the engine received, which the run's `engine.extra.log` names a file for.
    """
    log = Path(run.config.engine.extra["log"])
    log.write_text("")
    known, committed = shards_with_cached_answers(run.layout), committed_shards(run.layout)
    todo = [shard for shard in read_shards(run.layout)["shard"].to_pylist() if shard not in committed]
    if todo:
        replica = Replica(replica_spec(run))
        replica.start()
        for shard in todo[:shards]:
            replica.complete(WorkItem(shard, known=shard in known))
        replica.stop()
    return Counter(tuple(json.loads(line)) for line in log.read_text().splitlines())


class Corpus:
    """A folder of documents that is rewritten every day, and the runs over it."""

    def __init__(self, spark: SparkSession, folder: Path, make_run: Callable[..., Run]) -> None:
        self.spark, self.folder, self.make_run = spark, folder, make_run
        self.full_runs = 0

    def write(self, rows: Rows) -> None:
        shutil.rmtree(self.folder / "corpus", ignore_errors=True)
        write_rows(self.folder / "corpus", rows)

    def open(self, **options: Any) -> Run:
        extra = {"log": str(self.folder / "log.jsonl")}
        return self.make_run(str(self.folder / "corpus"), **{"engine.extra": extra, "prompts.min_shards": 4, **options})

    def run(self, **options: Any) -> Cells:
        """Annotate as the main command does; returns what the engine received."""
        run = self.open(**options)
        write_prompts(self.spark, run)
        check_prompts(run)
        received = answer(run)
        write_annotations(self.spark, run)
        publish(self.spark, run)
        return received

    def full(self, **options: Any) -> tuple[list[dict[str, Any]], Cells]:
        """Published rows and received prompts of a run that knows of no other."""
        self.full_runs += 1
        fresh = str(self.folder / f"full-{self.full_runs}")
        received = self.run(**{"output.path": fresh, **options})
        assert max(received.values()) == 1, "identical texts are asked once"
        return rows_of(fresh), received

    def report(self, run: Run) -> None:
        """Write the run's report, as the main command does at its end."""
        entry = read_marker(run.config.output.path).runs[run.id]
        publication = Publication.model_validate(record_values(entry))
        write_report(
            run, build_report(run, read_control(run.layout.annotations_summary, AnnotationsSummary), publication)
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        return rows_of(str(self.folder / "annotations"))


def rows_of(output: str) -> list[dict[str, Any]]:
    """All that is published, in an order of its own, without what names the run."""
    check_files(output)
    rows = [{key: value for key, value in row.items() if key != "run_id"} for row in read_annotations(output)]
    return sorted(rows, key=lambda row: (row["doc_id"], row["entity_type"]))


def write_rows(folder: Path, rows: Rows) -> str:
    """Documents as a corpus with a partition column."""
    table = pa.Table.from_pylist([{"doc_id": key, **row} for key, row in rows.items()])
    pq.write_to_dataset(table, folder, partition_cols=["domain"])
    return str(folder)


def documents(numbers: range, word: str = "Paula", domain: str = "news") -> Rows:
    """Short documents; those whose numbers are 40 apart have the same text."""
    return {f"d{i:03d}": {"text": f"{word} met Erik {i % 40} times in Oslo.", "domain": domain} for i in numbers}
