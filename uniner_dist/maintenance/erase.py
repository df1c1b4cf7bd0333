"""Erasure: documents disappear from everything that a workdir has written, as if they had never been in a corpus.

Enters: a workdir and ids. Leaves: outputs, store, and every run's shards, rejects, quarantine and occurrences without
these documents, everything else exactly as it was. A passage that another document has too is also that one's and
stays. Where passages stood is erased last of all, so that an erasure that was cut off finds everything again. Starts
neither Spark nor Ray; holds ids and positions of rows of the documents in question, never a dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from uniner_dist.annotations.documents import QUARANTINE_COLUMNS
from uniner_dist.errors import RunHeldError
from uniner_dist.maintenance.erase_gate import forget_in_gates
from uniner_dist.maintenance.erase_output import LITTER_S, forget_in_output
from uniner_dist.maintenance.erase_shards import forget_in_shards
from uniner_dist.reporting.html import write_page
from uniner_dist.run.run import Run, list_runs, load_run
from uniner_dist.storage.answer_store import compacted_name, compaction_stem, list_stores, live_files, write_manifest
from uniner_dist.storage.filesystem import (
    exists,
    find_files,
    join,
    list_names,
    open_fs,
    read_bytes,
    read_json,
    remove,
    remove_litter,
    write_bytes,
    write_json,
)
from uniner_dist.storage.layout import RunLayout, StoreLayout
from uniner_dist.storage.lease import current_holder, hold
from uniner_dist.storage.parquet_rows import Positions, erase, find_rows, without_rows
from uniner_dist.storage.shards import read_shards

_READERS = 16

T = TypeVar("T")


@dataclass
class Erasure:
    """How much of the documents was erased."""

    annotations: int = 0  # rows of published datasets
    cells: int = 0  # answers in stores
    prompts: int = 0  # prompts of runs
    places: int = 0  # passages of the documents, in all runs
    other_rows: int = 0  # of rejects and quarantine
    sampled: int = 0  # documents of quality gates' samples

    @property
    def anything(self) -> bool:
        """Whether there was a trace of them."""
        return any(vars(self).values())


@dataclass(frozen=True)
class _Trace:
    """What a run knows of the documents: their passages, and those of them that other documents have too."""

    run: Run
    passages: frozenset[str]
    shared: frozenset[str]


def forget(workdir: str, ids: Sequence[str]) -> Erasure:
    """Erase documents from all runs of a workdir, the stores that these use, and the outputs that they published to.

    The caller holds the workdir. The corpus is not touched: a document that stays there comes back with the next run.

    Args:
        ids: as strings; of a corpus with integer ids, their digits.

    Raises:
        RunHeldError: somebody works on a run of the workdir, or on the store.
    """
    runs = list(_load_runs(workdir))
    for run in runs:
        busy = current_holder(run.layout)
        if busy:
            raise RunHeldError(f"run {run.id}: {busy} works on it; wait for it or stop it first")
    wanted = pa.array(sorted(set(ids)), pa.string())
    sampled = sum(forget_in_gates(run, ids, forget) for run in runs)
    with ExitStack() as stack:
        stores = [part for store in sorted({run.config.store_path for run in runs}) for part in list_stores(store)]
        for part in stores:
            stack.enter_context(hold(part))
        erasure = _forget(workdir, runs, stores, wanted)
    erasure.sampled = sampled
    return erasure


def _load_runs(workdir: str) -> Iterator[Run]:
    """The runs of a workdir; a folder without a configuration is none, and nothing can be made of what is in it."""
    for run_id in list_runs(workdir):
        layout = RunLayout(workdir, run_id)
        if exists(layout.config):
            yield load_run(workdir, run_id)
        else:
            remove(layout.root)


def _forget(workdir: str, runs: Sequence[Run], stores: Sequence[StoreLayout], ids: pa.Array) -> Erasure:
    erasure = Erasure()
    shown = [run for run in runs if exists(run.layout.report_page)]
    for run in runs:
        remove(run.layout.report_page)  # it quotes documents
        remove_litter(run.layout.root)
        if not exists(run.layout.prompts_summary):
            _begin_anew(run)
    for output in sorted({run.config.output.path for run in runs}):
        erasure.annotations += forget_in_output(output, ids, workdir)
    passages = frozenset().union(*(_passages(run, ids) for run in runs))
    traces = [_Trace(run, passages & _passages(run, ids), _shared(run, ids, passages)) for run in runs]
    alone = passages.difference(*(trace.shared for trace in traces))
    for part in stores:
        erasure.cells += _forget_in_store(part, pa.array(sorted(alone), pa.string()))
    for trace in traces:
        own = pa.array(sorted(passages - trace.shared), pa.string())
        if len(own) and exists(trace.run.layout.shards):
            erasure.prompts += forget_in_shards(trace.run, own)
        erasure.other_rows += _forget_rows(trace.run, ids)
    for run in runs:  # also the ones without these documents: what they rewrote of an output has rows of all
        for path in run.layout.between_stages:
            remove(path)
    for run in runs:
        erasure.places += _erase_all(run.layout.occurrences, ["document", run.config.corpus.id_column], ids)
        _recount(run)
    for run in shown:
        write_page(run, read_json(run.layout.report))
    return erasure


def _begin_anew(run: Run) -> None:
    """A run in the middle of stage 1 may hold anything of its documents, and begins anew in any case."""
    for path in run.layout.of_stage_1:
        remove(path)


# -- passages ----------------------------------------------------------------------------------------------------------


def _passages(run: Run, ids: pa.Array) -> frozenset[str]:
    """Ids of the documents' passages."""
    column = ["document", run.config.corpus.id_column]

    def look(path: str) -> frozenset[str]:
        return _passage_ids(path, find_rows(path, column, ids)[1])

    return frozenset().union(*_each_file(run.layout.occurrences, look))


def _shared(run: Run, ids: pa.Array, passages: frozenset[str]) -> frozenset[str]:
    """Those of some passages that stand in other documents of the run."""
    column, wanted = ["document", run.config.corpus.id_column], pa.array(sorted(passages), pa.string())

    def look(path: str) -> frozenset[str]:
        everywhere, theirs = find_rows(path, ["passage_id"], wanted)[1], find_rows(path, column, ids)[1]
        return _passage_ids(path, np.setdiff1d(everywhere, theirs))

    return frozenset().union(*_each_file(run.layout.occurrences, look)) if passages else frozenset()


def _passage_ids(path: str, rows: Positions) -> frozenset[str]:
    if not len(rows):
        return frozenset()
    fs, stripped = open_fs(path)
    with fs.open(stripped, "rb") as stream:
        ids = pq.ParquetFile(stream).read(columns=["passage_id"])["passage_id"]
    return frozenset(ids.take(pa.array(rows)).to_pylist())


def _each_file(folder: str, look: Callable[[str], T]) -> list[T]:
    """What `look` says of every Parquet file of a folder, many at a time; nothing when there is no folder."""
    try:
        files = sorted(find_files(folder, ".parquet"))
    except FileNotFoundError:
        return []
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda file: look(join(folder, file)), files))


# -- rows --------------------------------------------------------------------------------------------------------------


def _forget_in_store(part: StoreLayout, passages: pa.Array) -> int:
    """Erase answers from every file of a part of a store, also from those that wait to be deleted.

    Readers that have listed the old files meet a missing one, which ends their stage; it can be started again.
    """
    remove_litter(part.root, older_than_s=LITTER_S)
    names = [name for name in list_names(part.cells) if name.endswith(".parquet")]
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda name: find_rows(join(part.cells, name), ["passage_id"], passages)[1], names)
    hit = {name: rows for name, rows in zip(names, found, strict=True) if len(rows)}
    live, stem, added = hit.keys() & set(live_files(part)), compaction_stem(), []
    for number, name in enumerate(sorted(live)):
        data, kept = without_rows(read_bytes(join(part.cells, name)), hit[name])
        if kept:
            added.append(compacted_name(stem, number))
            write_bytes(join(part.cells, added[-1]), data)
    if added:
        write_manifest(part, added, live)
    for name in hit:
        remove(join(part.cells, name))
    return sum(len(hit[name]) for name in live)


def _forget_rows(run: Run, ids: pa.Array) -> int:
    """Erase the documents' rows of rejects and quarantine, where the id may stand under another name."""
    column = run.config.corpus.id_column
    quarantined = f"document_{column}" if column.lower() in QUARANTINE_COLUMNS else column
    return _erase_all(run.layout.rejects, [column], ids) + _erase_all(run.layout.quarantine, [quarantined], ids)


def _erase_all(folder: str, column: Sequence[str], ids: pa.Array) -> int:
    def take_out(path: str) -> int:
        rows = find_rows(path, column, ids)[1]
        if len(rows):
            erase(path, rows, keep_empty=True)
        return len(rows)

    return sum(_each_file(folder, take_out))


def _recount(run: Run) -> None:
    """Let the summary of stage 1 say what is there."""
    layout = run.layout
    if not exists(layout.shards):
        return
    summary, shards = read_json(layout.prompts_summary), read_shards(layout)
    places, first = _dataset(layout.occurrences), pads.field("passage") == 0
    reasons = _dataset(layout.rejects).to_table(columns=["reason"], use_threads=False)["reason"]
    rejects = {row["values"]: row["counts"] for row in pc.value_counts(reasons).to_pylist()}
    prompts, asked = (int(pc.sum(shards[name]).as_py() or 0) for name in ("prompts", "asked"))
    summary |= {
        "documents": places.count_rows(filter=first, use_threads=False),
        "rejects": {reason: rejects[reason] for reason in summary["rejects"] if reason in rejects},
        "rejected": len(reasons),
        "split_documents": places.count_rows(filter=first & (pads.field("passages") > 1), use_threads=False),
        "passages": places.count_rows(use_threads=False),
        "unique_passages": int(pc.sum(shards["passages"]).as_py() or 0),
        "prompts": prompts,
        "prompts_known": prompts - asked,
        "prompts_to_ask": asked,
        "shards": shards.num_rows,
        "estimated_tokens": int(pc.sum(shards["estimated_tokens"]).as_py() or 0),
    }
    write_json(layout.prompts_summary, summary | {"rows": summary["documents"] + summary["rejected"]})


def _dataset(path: str) -> pads.Dataset:
    fs, stripped = open_fs(path)
    return pads.dataset(stripped, filesystem=fs, format="parquet")
