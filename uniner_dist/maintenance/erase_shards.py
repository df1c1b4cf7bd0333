"""Erasure in the shards of a run: prompts, completions, known answers, marks of triage's check, and the manifest.

Removes passages by id from the shards of a run, and writes a manifest that counts what is left. A shard's prompts are
rewritten last, so that an erasure that was cut off finds it again.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.filesystem import exists, join, list_names, remove
from uniner_dist.storage.parquet_rows import Positions, erase, find_rows
from uniner_dist.storage.shards import (
    ForeignFileError,
    is_open,
    is_skipped,
    prompts_file,
    read_completions,
    read_shards,
    write_completions,
    write_shards,
)

_READERS = 16


def erase_from_shards(run: Run, passages: pa.Array) -> int:
    """Erase passages from all shards of a run whose stage 1 is done.

    What is in no shard of the manifest goes as a whole: tasks that were tried again may have left it. A shard whose
    prompts are gone, by an erasure that ended before the manifest was written, goes too.

    Args:
        run: a run with a manifest of shards.
        passages: ids of the passages, as strings.

    Returns:
        How many prompts the passages had.

    Raises:
        OutsideError: a shard's file leads out of the run's folder, by a link.
    """
    manifest = read_shards(run.layout).to_pylist()
    _remove_strays(run, {row["shard"] for row in manifest})
    files = [prompts_file(run.layout, row["shard"]) for row in manifest]
    for file in files:
        require_inside(file, run.layout.prompts, run.layout.shards)
    with ThreadPoolExecutor(_READERS) as readers:
        found = list(readers.map(lambda file: _find(file, passages), files))
    erased, rows = 0, []
    for row, (total, places) in zip(manifest, found, strict=True):
        shard, left = row["shard"], total - len(places)
        if len(places) or not total:
            erased += len(places)
            _erase_answers(run, shard, passages, gone=not left)
        if len(places):
            # As the writer of shards: with a small dictionary a text would be stored once for each of its prompts.
            erase(prompts_file(run.layout, shard), places, dictionary_pagesize_limit=1 << 30)
        if left:
            rows.append(row if left == row["prompts"] else _recount(run, row, left))
    if rows != manifest:
        write_shards(run.layout, pa.Table.from_pylist(rows, schema=SHARDS))
    return erased


def _find(file: str, passages: pa.Array) -> tuple[int, Positions]:
    """How many prompts a file has, none if it is gone, and which of them are of these passages."""
    try:
        return find_rows(file, ["passage_id"], passages)
    except FileNotFoundError:
        return 0, np.zeros(0, dtype=np.int64)


def _remove_strays(run: Run, shards: Collection[str]) -> None:
    """Remove what is in no shard of the manifest."""
    layout = run.layout
    files = {f"{shard}.parquet" for shard in shards}
    counted = {layout.completions: files, layout.checks: files, layout.parts: set(shards)}
    counted[layout.prompts] = {layout.prompts_folder(shard).rsplit("/", 1)[-1] for shard in shards}
    for folder, names in counted.items():
        for name in set(list_names(folder)) - names:
            remove(join(folder, name))


def _erase_answers(run: Run, shard: str, passages: pa.Array, gone: bool) -> None:
    """Erase answers to these passages, or all of them where nothing is left of the shard."""
    known = run.layout.known_file(shard)
    for path in (run.layout.completions_file(shard), known):
        if gone:
            remove(path)
        elif exists(path):
            _rewrite(path, shard, run.fingerprint, passages)
    checks = run.layout.check_file(shard)
    if gone:
        remove(checks)
    elif exists(checks) and len(places := _find(checks, passages)[1]):
        erase(checks, places)
    folder = join(run.layout.parts, shard)
    for name in list_names(folder):  # ranges of a shard that is no longer the same
        if join(folder, name) != known:
            remove(join(folder, name))


def _rewrite(path: str, shard: str, fingerprint: str, passages: pa.Array) -> None:
    """Drop passages from a file of answers; one that is not whole is removed, since it is answered again anyway."""
    try:
        table = read_completions(path, shard, fingerprint)
    except ForeignFileError:
        remove(path)
        return
    kept = table.filter(pc.invert(pc.is_in(table["passage_id"], value_set=passages)))
    if kept.num_rows:
        write_completions(path, shard, fingerprint, kept, exclusive=False)
    else:
        remove(path)


def _recount(run: Run, row: dict[str, Any], prompts: int) -> dict[str, Any]:
    """The manifest's row of a shard that has lost passages; its tokens, only an estimate, shrink with its prompts."""
    asked = prompts if row["asked"] == row["prompts"] else 0
    known = run.layout.known_file(row["shard"])
    if 0 < row["asked"] < row["prompts"] and exists(known):
        asked = int(pc.sum(is_open(read_completions(known, row["shard"], run.fingerprint)), min_count=0).as_py())
    skipped = 0
    if row["skipped"]:
        answered = run.layout.completions_file(row["shard"])
        table = read_completions(answered if exists(answered) else known, row["shard"], run.fingerprint)
        skipped = int(pc.sum(is_skipped(table), min_count=0).as_py())
    return row | {
        "prompts": prompts,
        "skipped": skipped,
        "asked": asked,
        "passages": prompts // (row["prompts"] // row["passages"]),
        "estimated_tokens": row["estimated_tokens"] * asked // max(row["asked"], 1),
    }
