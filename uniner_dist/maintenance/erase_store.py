"""Erasure inside one part of a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from uniner_dist.maintenance.erase_rows import READERS
from uniner_dist.storage.answer_store import (
    compacted_name,
    compaction_stem,
    list_cells,
    live_files,
    next_sequence,
    write_manifest,
)
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.filesystem import (
    join,
    read_bytes,
    remove,
    write_bytes,
)
from uniner_dist.storage.parquet_rows import find_rows, without_rows
from uniner_dist.storage.place_layout import StoreLayout
from uniner_dist.storage.stale_files import remove_stale_temporary

T = TypeVar("T")


def erase_from_store(part: StoreLayout, passages: pa.Array) -> int:
    """Erase answers from every file of a part of a store, also from those that wait to be deleted.

    Readers that have listed the old files meet a missing one, which ends their stage; it can be started again. A
    manifest is written in any case: a compaction that was planned before it can replace nothing any more.

    Args:
        part: of the store that belongs to one fingerprint; the caller holds its lease.
        passages: ids of the passages, as strings.

    Returns:
        How many answers were erased from live files; those in files that wait to be deleted are not counted.

    Raises:
        OutsideError: a file leads out of the part, by a link.
    """
    remove_stale_temporary(part.root)
    sequence = next_sequence(part)
    names = list_cells(part)
    for name in names:
        require_inside(join(part.cells, name), part.root, part.cells)
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda name: find_rows(join(part.cells, name), ["passage_id"], passages)[1], names)
    hit = {name: rows for name, rows in zip(names, found, strict=True) if len(rows)}
    live, stem, added = hit.keys() & set(live_files(part)), compaction_stem(), []
    for number, name in enumerate(sorted(live)):
        data, kept = without_rows(read_bytes(join(part.cells, name)), hit[name])
        if kept:
            added.append(compacted_name(stem, number))
            write_bytes(join(part.cells, added[-1]), data)
    write_manifest(part, sequence, added, live)
    for name in hit:
        remove(join(part.cells, name))
    return sum(len(hit[name]) for name in live)
