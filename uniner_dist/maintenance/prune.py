"""Retention: what old runs keep of their texts and answers.

Enters: a workdir and an age. Leaves: each run that nobody touched for so long without its shards, answers, rejects and
quarantine. Answers stand in the store, so a run that is opened again later asks nothing again; where each document's
passages stood is kept without texts, so that a document can still be forgotten.
"""

from __future__ import annotations

import time

from uniner_dist.run.run import list_runs
from uniner_dist.storage.filesystem import exists, join, list_names, read_json, remove
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import current_holder
from uniner_dist.storage.marker import read_marker


def prune(workdir: str, older_than_s: float) -> list[str]:
    """Take the payload from runs whose last sign of life is older; returns their ids.

    A run that somebody works on, or whose publication was cut off, is left alone.
    """
    pruned = []
    for run_id in list_runs(workdir):
        layout = RunLayout(workdir, run_id)
        if current_holder(layout) or _last_sign(layout) > time.time() - older_than_s or _is_publishing(layout):
            continue
        payload = {join(layout.root, name) for name in list_names(layout.root)}.difference(layout.kept_by_prune)
        # First the manifest: a run that is opened in the middle of this begins anew instead of missing shards.
        for path in sorted(payload, key=lambda path: path != layout.shards):
            remove(path)
        pruned += [run_id] if payload else []
    return pruned


def _last_sign(layout: RunLayout) -> float:
    """Seconds since the epoch of the last thing that a run is known to have done."""
    signs = [0.0]
    for name in list_names(layout.attempts):
        signs.append(float(read_json(join(layout.attempts, name))["ended"]))
    for name in list_names(layout.holders):
        claim = read_json(join(layout.holders, name))
        signs.append(float(claim.get("since") or claim.get("at") or 0))
    return max(signs)


def _is_publishing(layout: RunLayout) -> bool:
    if not exists(layout.publication):
        return False
    marker = read_marker(read_json(layout.config)["config"]["output"]["path"]) or {}
    return marker.get("publishing") == layout.publication
