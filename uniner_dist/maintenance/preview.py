"""Previews of the maintenance commands, without taking leases or changing anything.

Other processes may work at the same time, so that the command itself may find more or less.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from uniner_dist.maintenance.ownership import check_own
from uniner_dist.maintenance.prune import is_old, text_files
from uniner_dist.maintenance.same_documents import as_stored, find_documents
from uniner_dist.maintenance.scope import find_scope
from uniner_dist.run.run import Run, list_runs, load_run
from uniner_dist.storage.filesystem import exists, join, list_names
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.parquet_rows import has_values


@dataclass(frozen=True)
class ErasurePreview:
    """Where an erasure would find documents.

    Args:
        documents: id → ids of the runs that have it.
        unknown: ids that no run has; they would only stay away from now on.
        outputs: published datasets that would be looked through.
        stores: stores of answers that would be looked through.
        others: workdirs with other documents of the same ids, which would stay.
        unreachable: places that should be visited and cannot be, one sentence each.
    """

    documents: dict[str, tuple[str, ...]]
    unknown: tuple[str, ...]
    outputs: tuple[str, ...]
    stores: tuple[str, ...]
    others: tuple[str, ...]
    unreachable: tuple[str, ...]


def preview_documents(workdir: str, ids: Sequence[str]) -> ErasurePreview:
    """Find where an erasure would find documents, without changing anything.

    Args:
        workdir: path or URL of the workdir in which the ids are meant.
        ids: as strings, see `same_documents.as_stored`.

    Returns:
        The runs that have each document, and the places that an erasure would visit.

    Raises:
        ControlFileError: a run's folder is damaged, or there are links in it.
        StorageError: a workdir that shares a store with this one cannot be read.
    """
    scope = find_scope(workdir)
    runs = {place: _runs(place) for place in scope.workdirs}
    named = as_stored(runs[workdir], ids)
    targets, others = find_documents(runs, named)
    documents: dict[str, list[str]] = {}
    for target in targets:
        for doc_id in target.texts:
            documents.setdefault(doc_id, []).append(target.run.id)
    return ErasurePreview(
        documents={doc_id: tuple(runs) for doc_id, runs in sorted(documents.items())},
        unknown=tuple(doc_id for doc_id in named if doc_id not in documents),
        outputs=tuple(sorted({target.run.config.output.path for target in targets if target.texts})),
        stores=tuple(scope.stores),
        others=others,
        unreachable=tuple(scope.unreachable),
    )


def preview_prune(workdir: str, older_than_s: float) -> list[str]:
    """Return the ids of the runs from which `prune` would take texts and answers; except those that are in use then.

    Args:
        workdir: path or URL of the workdir.
        older_than_s: age in seconds of the last sign of life.

    Raises:
        ControlFileError: the folder of a run is damaged, or there are links in it.
    """
    since = time.time() - older_than_s
    return [run.id for run in _runs(workdir) if is_old(run, since) and _has_payload(run.layout)]


def _runs(workdir: str) -> list[Run]:
    runs = [load_run(workdir, run_id) for run_id in list_runs(workdir) if exists(RunLayout(workdir, run_id).config)]
    for run in runs:
        check_own(run.layout)
    return runs


def _has_payload(layout: RunLayout) -> bool:
    present = {join(layout.root, name) for name in list_names(layout.root)}
    return any(path in present for path in layout.payload) or any(
        has_values(file, "text") for file in text_files(layout)
    )
