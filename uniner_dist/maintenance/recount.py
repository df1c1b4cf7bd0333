"""Updates the summary of stage 1 after an erasure."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

import pyarrow.compute as pc

from uniner_dist.core.outcomes import ERASED
from uniner_dist.run.run import Run
from uniner_dist.storage.attempts import counted_files
from uniner_dist.storage.control_files import PromptsSummary, read_control, write_record
from uniner_dist.storage.erased import erased_state
from uniner_dist.storage.filesystem import exists, join, open_fs
from uniner_dist.storage.shards import read_shards
from uniner_dist.storage.stage_files import counting

if TYPE_CHECKING:
    import pyarrow.dataset as pads

T = TypeVar("T")


def open_dataset(path: str) -> pads.Dataset:
    """Open a dataset of a run's own, with the files that count.

    Args:
        path: path or URL of its folder; files of attempts that do not count are left out.

    Returns:
        The dataset, of which nothing but the first file's schema was read yet.
    """
    import pyarrow.dataset as pads

    fs, stripped = open_fs(path)
    return pads.dataset([join(stripped, name) for name in counted_files(path)], filesystem=fs, format="parquet")


def recount(run: Run, entries: Collection[str]) -> None:
    """Update the counts in the summary of stage 1.

    Args:
        run: the run whose shards and lists were changed by an erasure.
        entries: names of the entries in the lists of erased documents that this erasure has made.
    """
    import pyarrow.dataset as pads

    layout = run.layout
    if not exists(layout.prompts_summary):
        return None
    if not exists(layout.shards):
        return _note_erasures(run, entries)
    summary, shards = read_control(layout.prompts_summary, PromptsSummary), read_shards(layout)
    places, first = open_dataset(counting(layout.occurrences)), pads.field("passage") == 0
    reasons = open_dataset(counting(layout.rejects)).to_table(columns=["reason"], use_threads=False)["reason"]
    rejects = {row["values"]: row["counts"] for row in pc.value_counts(reasons).to_pylist()}
    rejects |= {ERASED: summary.rejects[ERASED]} if ERASED in summary.rejects else {}  # which are in no file
    prompts, asked, skipped = (int(pc.sum(shards[name]).as_py() or 0) for name in ("prompts", "asked", "skipped"))
    documents = places.count_rows(filter=first, use_threads=False)
    counted: dict[str, object] = {
        "rows": documents + sum(rejects.values()),
        "documents": documents,
        "rejects": {reason: rejects[reason] for reason in summary.rejects if reason in rejects},
        "rejected": sum(rejects.values()),
        "split_documents": places.count_rows(filter=first & (pads.field("passages") > 1), use_threads=False),
        "passages": places.count_rows(use_threads=False),
        "unique_passages": int(pc.sum(shards["passages"]).as_py() or 0),
        "prompts": prompts,
        "prompts_known": prompts - asked - skipped,
        "prompts_skipped": skipped,
        "prompts_to_ask": asked,
        "shards": shards.num_rows,
        "estimated_tokens": int(pc.sum(shards["estimated_tokens"]).as_py() or 0),
    }
    write_record(layout.prompts_summary, summary.model_copy(update=counted))
    return _note_erasures(run, entries)


def _note_erasures(run: Run, entries: Collection[str]) -> None:
    """Record in the summary of stage 1 that the run is without the documents in the lists.

    Not if the lists changed between its stage 1 and this erasure, such as by documents that may come back since: such a
    run is planned again, as without this erasure.
    """
    summary = read_control(run.layout.prompts_summary, PromptsSummary)
    if summary.erased == erased_state(run.erased_lists, but=entries):
        now = summary.model_copy(update={"erased": erased_state(run.erased_lists)})
        write_record(run.layout.prompts_summary, now)
