"""The files of one work item: its prompts, what is answered or committed already, and the commit of its answers."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from uniner_dist.completions.replica.protocol import ReplicaSpec
from uniner_dist.completions.replica.rows import KEYS
from uniner_dist.completions.work import WorkItem
from uniner_dist.storage.answer_store import contribute
from uniner_dist.storage.filesystem import remove
from uniner_dist.storage.shards import ForeignFileError, read_completions, read_prompts, write_completions


def prompts_of(spec: ReplicaSpec, item: WorkItem) -> pa.Table:
    """The prompts of a work item, rows of `schemas.PROMPTS`."""
    prompts = read_prompts(spec.layout, item.shard)
    return prompts if item.stop is None else prompts.slice(item.start, item.stop - item.start)


def is_committed(spec: ReplicaSpec, item: WorkItem, rows: int) -> bool:
    """Whether the item's file is there and whole; a partial or foreign one is removed so that it is redone."""
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
    """The answers to these prompts that are there already; None when their file is gone or foreign."""
    try:
        known = read_completions(spec.layout.known_file(item.shard), item.shard, spec.fingerprint)
    except (FileNotFoundError, ForeignFileError):
        return None
    known = known.slice(item.start, prompts.num_rows)
    same = all(known[key].combine_chunks().equals(prompts[key].combine_chunks()) for key in KEYS)
    return known if same else None


def commit(spec: ReplicaSpec, item: WorkItem, table: pa.Table) -> bool:
    """Write the answers of a work item; those of a whole shard go into the store first, then commit the shard.

    Returns:
        False when another writer had committed the shard before.
    """
    whole = item.stop is None
    if whole:
        contribute(spec.store, spec.layout.run_id, item.shard, table)
    return write_completions(_target(spec, item), item.shard, spec.fingerprint, table, exclusive=whole)


def read_ranges(spec: ReplicaSpec, shard: str, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, pa.Table]]:
    """Start and answers of each finished range `(start, stop)` of a suspect shard."""
    return [
        (start, read_completions(_target(spec, WorkItem(shard, start, stop)), shard, spec.fingerprint, stop - start))
        for start, stop in ranges
    ]


def _target(spec: ReplicaSpec, item: WorkItem) -> str:
    if item.stop is None:
        return spec.layout.completions_file(item.shard)
    return spec.layout.part_file(item.shard, item.start, item.stop)
