"""Erasure of documents from everything that a workdir has written, as if they had never been in a corpus.

Removes documents by id from outputs, store, and every run's shards, rejects, quarantine and occurrences; everything
else stays exactly as it was. A passage that another document has too belongs to that one as well and stays. Occurrences
are erased last of all, so that an erasure that was cut off finds everything again. Starts neither Spark nor Ray; holds
ids and row positions of the documents in question, never a dataset.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyarrow as pa

from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.maintenance.erase_exports import ErasedExports, erase_from_exports
from uniner_dist.maintenance.erase_gate import erase_from_gates
from uniner_dist.maintenance.erase_output import erase_from_output
from uniner_dist.maintenance.erase_rows import READERS, erase_in_folder, erase_rows, find_passages, find_shared
from uniner_dist.maintenance.erase_shards import erase_from_shards
from uniner_dist.maintenance.erase_store import erase_from_store
from uniner_dist.maintenance.ownership import check_own
from uniner_dist.maintenance.recount import recount
from uniner_dist.maintenance.same_documents import Target, as_stored, find_documents
from uniner_dist.maintenance.scope import Scope, find_scope
from uniner_dist.reporting.report import write_page_if_possible
from uniner_dist.run.run import Run, list_runs, load_run
from uniner_dist.storage.answer_store import (
    list_stores,
)
from uniner_dist.storage.commit import Check, always
from uniner_dist.storage.control_files import Report, read_control
from uniner_dist.storage.erased import remember, take_off
from uniner_dist.storage.filesystem import (
    exists,
    join,
    list_names,
    remove,
    write_json,
)
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import fence, hold_lease
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.stale_files import remove_stale_temporary

_COUNTS = ("annotations", "cells", "prompts", "places", "other_rows", "sampled")

T = TypeVar("T")


@dataclass
class Erasure:
    """Counts of what was erased."""

    annotations: int = 0  # rows of published datasets
    cells: int = 0  # answers in stores
    prompts: int = 0  # prompts of runs
    places: int = 0  # passages of the documents, in all runs
    other_rows: int = 0  # of rejects and quarantine
    sampled: int = 0  # documents of quality gates' samples
    exports: tuple[str, ...] = ()  # folders of exports that were removed
    others: tuple[str, ...] = ()  # workdirs with other documents of the same ids, which stay
    unreachable: tuple[str, ...] = ()  # locations that could not be visited, one sentence each

    @property
    def found_any(self) -> bool:
        """Whether anything of the documents was found."""
        return any(getattr(self, name) for name in _COUNTS)


@dataclass(frozen=True)
class Trace:
    """Passages of the documents in a run that other documents have too."""

    target: Target
    shared: frozenset[str]


def erase_documents(workdir: str, ids: Sequence[str], check: Check = always) -> Erasure:
    """Erase documents from everything that is connected with a workdir, and record that they stay away.

    Visited are all runs of the workdir, the outputs that they published to, every store that they ever used, and the
    other workdirs that used these stores. In another workdir a document is the same if its corpus is, or its text; what
    only has the same id is another document and stays (`Erasure.others`).

    The caller holds the workdir. The corpus is not touched: a document that is still in it stays away until its text is
    another one (see `storage.erased`). Cut off anywhere, it is done by starting it again: every step looks at what is
    there, and what it needs to know is erased last.

    Args:
        workdir: path or URL of the workdir in which the ids are meant.
        ids: as strings, see `same_documents.as_stored`.
        check: called before every step that changes anything; raises when this process may not go on.

    Returns:
        Counts of what was erased, and the places that could not be visited: what they hold is not erased.

    Raises:
        RunHeldError: another process works on a run of a workdir, or on a store.
        ControlFileError: a run's folder is damaged, or has links in it.
        StorageError: a place of the named workdir cannot be read or written; the same call again finishes it.
    """
    scope = find_scope(workdir)
    marks = [WorkdirLayout(place).erasure(_name(ids)) for place in scope.workdirs if list_runs(place)]
    with ExitStack() as stack:
        for other in scope.workdirs[1:]:
            stack.enter_context(hold_lease(WorkdirLayout(other)))
        places = [RunLayout(place, run_id) for place in scope.workdirs for run_id in list_runs(place)]
        with ThreadPoolExecutor(READERS) as watchers:
            list(watchers.map(fence, places))
        check()
        for mark in marks:
            write_json(mark, {"begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        runs = {workdir: list(_load_runs(workdir))} | _load_other_runs(scope)
        parts = [part for store in scope.stores for part in list_stores(store)]
        for part in parts:
            stack.enter_context(hold_lease(part))
        named = as_stored(runs[workdir], ids)
        wanted, others = find_documents(runs, named)
        check()
        entries = _remember(scope, wanted, named)
        sampled = 0
        for target in wanted:
            sampled += erase_from_gates(
                target.run, sorted(target.ids), partial(_erase_from_gate, parts, entries, check)
            )
        exports = _erase_from_exports(wanted, check)
        erasure = _erase(wanted, parts, entries, check)
    for mark in marks:
        remove(mark)
    erasure.sampled, erasure.others, erasure.exports = sampled, others, tuple(exports.removed)
    erasure.unreachable = (*scope.unreachable, *exports.left)
    return erasure


def restore(workdir: str, ids: Sequence[str]) -> int:
    """Let erased documents come back with the next run over a corpus that has them.

    The caller holds the workdir. The lists of all workdirs and stores that are connected with it are changed.

    Args:
        workdir: path or URL of the workdir in which the ids are meant.
        ids: as for `erase_documents`. Those that are on no list are ignored.

    Returns:
        How many of the documents were on a list of erased ones.

    Raises:
        ControlFileError: a run's folder is damaged, or has links in it.
        StorageError: a run or a list cannot be read or written.
    """
    scope, named = find_scope(workdir), set(as_stored(_load_runs(workdir), ids))
    folders = [WorkdirLayout(place).erased for place in scope.workdirs]
    folders += [StoreLayout(store, "").erased for store in scope.stores]
    return max(take_off(folder, named) for folder in folders)


def _name(ids: Sequence[str]) -> str:
    """Name of an erasure, without the documents' ids: they must not be in a file once they are erased."""
    return digest({"documents": sorted(set(ids))}, 12)


def _erase_from_gate(
    parts: Sequence[StoreLayout], entries: Collection[str], check: Check, workdir: str, ids: Sequence[str]
) -> Erasure:
    """Erase documents from a quality gate's own workdir; the stores are held already."""
    targets = [Target(run, frozenset(ids), texts={}) for run in _load_runs(workdir)]
    return _erase(targets, parts, entries, check)


def _remember(scope: Scope, targets: Sequence[Target], ids: Sequence[str]) -> frozenset[str]:
    """Put documents on the lists, with every text that any run knew them by; returns the names of the new entries.

    A document that no run ever had is only on the list of the workdir that was named: elsewhere its id may be somebody
    else's.
    """
    texts: dict[str, set[str]] = {doc_id: set() for doc_id in ids}
    for target in targets:
        for doc_id, hashes in target.texts.items():
            texts[doc_id] |= hashes
    known = {doc_id: hashes for doc_id, hashes in texts.items() if hashes}
    entries = [remember(WorkdirLayout(scope.workdirs[0]).erased, texts)]
    places = [WorkdirLayout(place).erased for place in scope.workdirs[1:]]
    places += [StoreLayout(store, "").erased for store in scope.stores]
    entries += [remember(folder, known) for folder in places]
    return frozenset(entry for entry in entries if entry is not None)


def _load_other_runs(scope: Scope) -> dict[str, list[Run]]:
    """The runs of the other workdirs; one whose files are damaged keeps nothing from being erased elsewhere."""
    runs = {}
    for place in scope.workdirs[1:]:
        try:
            runs[place] = list(_load_runs(place))
        except (ConfigError, StorageError) as error:
            scope.unreachable.append(f"workdir {place} cannot be read: {error}")
    return runs


def _load_runs(workdir: str) -> Iterator[Run]:
    """The runs of a workdir; a folder without a configuration of a run is none, and is left alone.

    Raises:
        ControlFileError: a folder of a run has links in it, so that something else would be changed by way of them.
    """
    for run_id in list_runs(workdir):
        layout = RunLayout(workdir, run_id)
        if exists(layout.config):
            run = load_run(workdir, run_id)
            check_own(layout)
            yield run


def _erase(targets: Sequence[Target], parts: Sequence[StoreLayout], entries: Collection[str], check: Check) -> Erasure:
    erasure = Erasure()
    runs = [target.run for target in targets]
    for run in runs:
        check()
        remove(run.layout.report_page)  # it quotes documents
        remove_stale_temporary(run.layout.root)
    erasure.annotations += _erase_from_outputs(targets, check)
    for run in runs:  # also the ones without these documents: what they rewrote of an output has rows of all
        check()
        for path in run.layout.between_stages:  # of every lease: it is made again, and nothing may be overlooked
            check()
            remove(path)
        if not exists(run.layout.shards):
            _begin_anew(run, check)
    passages = frozenset().union(*(find_passages(target.run, target.array) for target in targets))
    traces = [Trace(target, find_shared(target.run, target.array, passages)) for target in targets]
    alone = passages.difference(*(trace.shared for trace in traces))
    for part in parts:
        check()
        erasure.cells += erase_from_store(part, pa.array(sorted(alone), pa.string()))
    for trace in traces:
        check()
        run, own = trace.target.run, pa.array(sorted(passages - trace.shared), pa.string())
        if len(own) and exists(run.layout.shards):
            erasure.prompts += erase_from_shards(run, own)
        erasure.other_rows += erase_rows(run, trace.target.array)
    for target in targets:
        check()
        run = target.run
        column = ["document", run.config.corpus.id_column]
        erasure.places += erase_in_folder(run.layout.occurrences, column, target.array)
        recount(run, entries)
    for run in (run for run in runs if exists(run.layout.report)):
        write_page_if_possible(run, read_control(run.layout.report, Report))
    return erasure


def _ids_by_output(targets: Sequence[Target]) -> dict[str, set[str]]:
    """Output that a run with some of the documents publishes to → their ids."""
    ids: dict[str, set[str]] = {}
    for target in targets:
        ids.setdefault(target.run.config.output.path, set()).update(target.ids)
    return ids


def _erase_from_exports(targets: Sequence[Target], check: Check) -> ErasedExports:
    """Erase documents from the exports of every such output."""
    together = ErasedExports()
    for output, ids in sorted(_ids_by_output(targets).items()):
        found = erase_from_exports(output, ids, check)
        together.removed += found.removed
        together.left += found.left
    return together


def _erase_from_outputs(targets: Sequence[Target], check: Check) -> int:
    """Erase documents from every output that a run with them published to."""
    workdirs: dict[str, str] = {}
    for target in targets:
        workdirs.setdefault(target.run.config.output.path, target.run.layout.workdir)
    rows = sum(
        erase_from_output(output, pa.array(sorted(found), pa.string()), workdirs[output], check)
        for output, found in sorted(_ids_by_output(targets).items())
    )
    for workdir in {target.run.layout.workdir for target in targets}:
        rewritten = WorkdirLayout(workdir).rewritten
        for name in list_names(rewritten):  # what earlier starts left before their journal counted
            remove(join(rewritten, name))
    return rows


def _begin_anew(run: Run, check: Check) -> None:
    """A run in the middle of stage 1 may hold anything of its documents, and starts over in any case.

    One that was pruned is not in the middle of it, and has nothing left but its occurrences, which say what it had.
    """
    pruned = exists(run.layout.prompts_summary)
    for path in run.layout.of_stage_1:
        if not (pruned and path == run.layout.occurrences):
            check()
            remove(path)
