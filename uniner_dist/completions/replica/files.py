"""The files of one work item: its prompts, what is answered or committed already, and the commit of its answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pyarrow as pa

from uniner_dist.completions.replica.protocol import ReplicaSpec
from uniner_dist.completions.replica.rows import KEYS
from uniner_dist.completions.work import WorkItem
from uniner_dist.errors import StageError
from uniner_dist.storage.answer_store import contribute
from uniner_dist.storage.filesystem import exists, remove
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import (
    ForeignFileError,
    read_completions,
    read_prompts,
    read_shards,
    write_completions,
)


def prompts_of(spec: ReplicaSpec, item: WorkItem) -> pa.Table:
    """Return the prompts of a work item, rows of `schemas.PROMPTS` in the order of its shard.

    Args:
        spec: its `layout` says where the prompts are.
        item: a whole shard, or a range of its rows.

    Raises:
        StageError: the shard has no prompts file.
    """
    prompts = read_prompts(spec.layout, item.shard)
    return prompts if item.stop is None else prompts.slice(item.start, item.stop - item.start)


def is_committed(spec: ReplicaSpec, item: WorkItem, rows: int) -> bool:
    """Return whether the item's file is there and whole; a partial or foreign one is removed so that it is redone.

    Args:
        spec: folders and fingerprint of the run.
        item: a whole shard, whose completions file is looked for, or a range of a suspect one, whose part file is.
        rows: prompts of the item, which its file must have.
    """
    path = _target(spec, item)
    try:
        read_completions(path, item.shard, spec.fingerprint, rows)
        return True
    except FileNotFoundError:
        return False
    except ForeignFileError:
        remove(path)
        return False


def cached_answers(spec: ReplicaSpec, item: WorkItem, prompts: pa.Table) -> pa.Table | None:
    """Return the answers to these prompts that are there already.

    Args:
        spec: folders and fingerprint of the run.
        item: a whole shard, or a range of it.
        prompts: all prompts of the item.

    Returns:
        Rows of `schemas.COMPLETIONS`, one per prompt and in their order, open (see `is_open`) where it must be asked;
        None when the file of known answers is gone, foreign, or about other prompts, so that all must be asked.

    Raises:
        StageError: it is, and only it knew which prompts triage has left out; a foreign one is removed.
    """
    path = spec.layout.known_file(item.shard)
    try:
        known = read_completions(path, item.shard, spec.fingerprint).slice(item.start, prompts.num_rows)
        if all(known[key].combine_chunks().equals(prompts[key].combine_chunks()) for key in KEYS):
            return known
    except (FileNotFoundError, ForeignFileError):
        pass
    if _has_skipped(spec.layout, item.shard):
        remove(path)  # as when it is gone, `is_whole` of `storage.stage_files` finds that the run must be planned again
        raise StageError(
            f"shard {item.shard}: {path} is gone or damaged, which said what triage has left out; nothing of the shard "
            "is asked. The next start of `uniner-dist annotate` plans the run again, with all answers so far"
        )
    print(f"shard {item.shard}: {path} is gone or damaged; its known answers are asked again", file=sys.stderr)
    return None


def _has_skipped(layout: RunLayout, shard: str) -> bool:
    """Whether triage has left out prompts of a shard; a call in memory has no manifest, and no triage."""
    if not exists(layout.shards):
        return False
    manifest = read_shards(layout)
    return bool(manifest["skipped"].to_pylist()[manifest["shard"].to_pylist().index(shard)])


def commit(spec: ReplicaSpec, item: WorkItem, table: pa.Table) -> bool:
    """Write the answers of a work item; those of a whole shard go into the store first, then commit the shard.

    Args:
        spec: folders and fingerprint of the run.
        item: a whole shard, or a range of a suspect one, whose part file is written and replaces an earlier one.
        table: rows of `schemas.COMPLETIONS`, one per prompt and in their order.

    Returns:
        False when another writer had committed the shard before.
    """
    whole = item.stop is None
    if whole:
        contribute(spec.store, spec.layout.run_id, item.shard, table)
    return write_completions(_target(spec, item), item.shard, spec.fingerprint, table, exclusive=whole)


def read_ranges(spec: ReplicaSpec, shard: str, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, pa.Table]]:
    """Return start and answers of each finished range of a suspect shard, in the order given.

    Args:
        spec: folders and fingerprint of the run.
        shard: name of the shard.
        ranges: `(start, stop)` of each, as row numbers.

    Raises:
        ForeignFileError: the file of a range is partial, altered, or of another run.
        FileNotFoundError: there is no such file.
    """
    return [
        (start, read_completions(_target(spec, WorkItem(shard, start, stop)), shard, spec.fingerprint, stop - start))
        for start, stop in ranges
    ]


def _target(spec: ReplicaSpec, item: WorkItem) -> str:
    if item.stop is None:
        return spec.layout.completions_file(item.shard)
    return spec.layout.part_file(item.shard, item.start, item.stop)
