"""Renewal of runs that were started before: plan them again where needed, and never ask what the store answers.

A run is resumed as it is, shard by shard, when its last start was cut off. When the workdir was busy with other runs in
between, or a later publication has changed its rows, or the store answers what it published as failed, the present is
another one than the run was planned for. Then its answers are put into the store and it begins with stage 1 again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.annotations.journal import finish_publication
from uniner_dist.run.publication_state import claim_of, is_disturbed, is_outdated, is_up_to_date
from uniner_dist.run.run import Run
from uniner_dist.storage.answer_store import contribute, live_files, store_state
from uniner_dist.storage.attempts import counted_files
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    ControlFileError,
    PlannedStore,
    PromptsSummary,
    Report,
    read_control,
)
from uniner_dist.storage.erased import erased_state
from uniner_dist.storage.filesystem import exists, join, list_names, open_fs, remove, write_json
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.parquet_rows import find_rows
from uniner_dist.storage.shards import ForeignFileError, committed_shards, read_completions
from uniner_dist.storage.stage_files import counting, is_whole, remove_until_now

Say = Callable[[str], None]


def is_present(run: Run) -> bool:
    """Return whether the run may still publish to its output; otherwise it may only feed the store.

    It may not if a run that saw the corpus later has published, or if a later publication has changed its rows.

    Args:
        run: at any stage.
    """
    marker, claim = read_marker(run.config.output.path), claim_of(run)
    return not is_outdated(marker, run.id, claim) and not is_disturbed(marker, run.id, claim)


def times_published(run: Run) -> int:
    """Return how often the run was published to its output; 0 for never.

    Args:
        run: at any stage.
    """
    marker = read_marker(run.config.output.path)
    return marker.runs[run.id].times_published if marker is not None and run.id in marker.runs else 0


def is_published(run: Run) -> bool:
    """Return whether the output holds what this run would publish now, and its report exists.

    Args:
        run: at any stage; only its folder, its output's marker and its store are read.
    """
    marker = read_marker(run.config.output.path)
    if not is_up_to_date(marker, run.id, claim_of(run)) or not exists(run.layout.report):
        return False
    if exists(run.layout.renewed) or knows_other_erasures(run) or can_be_mended(run):
        return False
    return read_control(run.layout.report, Report).publication is not None


def renew(run: Run, say: Say, check: Callable[[], None]) -> None:
    """Reset an outdated run, with its answers kept in the store; nothing happens to one that can be continued.

    Args:
        run: a run whose lease the caller holds; a publication of it that was cut off is finished first.
        say: called with each line of news.
        check: raises when this process may not go on.

    Raises:
        RunHeldError: another process changes the output and does not finish in time.
        StageError: the publication that was cut off cannot be finished.
    """
    if not exists(run.layout.shards) and not exists(run.layout.stale):
        marker = read_marker(run.config.output.path)
        if marker is not None and run.id in marker.runs:  # pruned; what it is planned as now may be more than it was
            write_json(run.layout.renewed, {"at": time.time()})
        return
    past = exists(run.layout.stale) or not is_present(run) or knows_other_erasures(run)
    damaged = exists(run.layout.shards) and not is_whole(run.layout)
    if not past and not damaged and not can_be_mended(run):
        return
    why = "files of its plan are gone" if damaged else "was planned at another time"
    say(f"run {run.id}: {why}; it is planned again with what the store knows now")
    finish_publication(run, check)
    feed_store(run)
    check()
    layout = run.layout
    write_json(layout.renewed, {"at": time.time()})
    # What stays: who it is, what it cost, and what was said of it.
    kept = {layout.config, layout.attempts, layout.lease_folder, layout.report, layout.stale, layout.renewed}
    payload = {join(layout.root, name) for name in list_names(layout.root)} - kept
    # First the manifest: a start in the middle of this repeats stage 1 instead of missing shards.
    for path in sorted(payload, key=lambda path: path != layout.shards):
        check()
        remove_until_now(layout, path)
    remove(layout.stale)


def feed_store(run: Run) -> None:
    """Put every answer that the run has into the store; those that it took from this store are there already.

    Args:
        run: its committed shards and the finished ranges of others are read; damaged files are passed over.
    """
    own_only = _planned_store(run).path == run.config.store_path
    for shard in committed_shards(run.layout):
        _feed(run, shard, run.layout.completions_file(shard), own_only)
    for shard in list_names(run.layout.parts):
        for name in list_names(join(run.layout.parts, shard)):
            _feed(run, shard, join(run.layout.parts, shard, name), own_only)


def knows_other_erasures(run: Run) -> bool:
    """Return whether documents were put on the list of erased ones, or taken off it, since the run was planned.

    Args:
        run: at any stage; one that was not planned yet counts as planned without erasures.
    """
    summary = _summary(run)
    return (summary.erased if summary else "") != erased_state(run.erased_lists)


def can_be_mended(run: Run) -> bool:
    """Return whether the store has, or may have, an answer for a prompt that the run published without one.

    Args:
        run: at any stage; one without unanswered prompts cannot be mended.

    Returns:
        True also where that cannot be told, because the quarantine was pruned or has lost files and the store has
        changed since the run was planned.
    """
    summary = run.layout.annotations_summary
    if not exists(summary) or not read_control(summary, AnnotationsSummary).quarantined:
        return False
    if _planned_store(run).state == store_state(run.store, run.id):
        return False
    if not exists(run.layout.quarantine):  # pruned
        return True
    try:
        return any(_are_known(run, failed) for failed in _unanswered(run))
    except ControlFileError:  # files of it are lost
        return True


def _planned_store(run: Run) -> PlannedStore:
    """State of the store as stage 1 saw it."""
    summary = _summary(run)
    return summary.store if summary else PlannedStore()


def _summary(run: Run) -> PromptsSummary | None:
    return read_control(run.layout.prompts_summary, PromptsSummary) if exists(run.layout.prompts_summary) else None


def _feed(run: Run, shard: str, path: str, own_only: bool) -> None:
    try:
        table = read_completions(path, shard, run.fingerprint)
    except (FileNotFoundError, ForeignFileError):
        return
    if not own_only:
        column = table.schema.get_field_index("reused")
        table = table.set_column(column, table.schema.field(column), pa.array([False] * table.num_rows))
    contribute(run.store, run.id, shard, table)


def _unanswered(run: Run) -> Iterator[pa.Table]:
    """`passage_id` and `ask` of prompts without an answer, file by file of the quarantine."""
    folder = counting(run.layout.quarantine)
    for file in sorted(counted_files(folder)):
        fs, path = open_fs(join(folder, file))
        with fs.open(path, "rb") as stream:
            rows = pq.ParquetFile(stream).read(columns=["passage_id", "ask", "raw_output"])
        yield rows.filter(pc.is_null(rows["raw_output"])).select(["passage_id", "ask"])


def _are_known(run: Run, failed: pa.Table) -> bool:
    """Whether the store answers any of these prompts."""
    wanted = set(zip(failed["passage_id"].to_pylist(), failed["ask"].to_pylist(), strict=True))
    ids = pa.array(sorted({passage for passage, _ in wanted}), pa.string())
    for name in live_files(run.store) if wanted else ():
        path = join(run.store.cells, name)
        rows = find_rows(path, ["passage_id"], ids)[1]
        if len(rows):
            fs, stripped = open_fs(path)
            with fs.open(stripped, "rb") as stream:
                columns = ["passage_id", "entity_type"] + ["logprobs"] * run.config.run.scores
                cells = pq.ParquetFile(stream).read(columns=columns).take(pa.array(rows))
            if run.config.run.scores:
                cells = cells.filter(pc.is_valid(cells["logprobs"]))
            if wanted & set(zip(cells["passage_id"].to_pylist(), cells["entity_type"].to_pylist(), strict=True)):
                return True
    return False
