"""What an erasure must visit: the workdirs and stores that ever had to do with each other, and those out of reach.

A workdir remembers the stores that its runs used, and a store the workdirs that it served (`run.registry`). From one
workdir all others are found that may hold answers to the same passages.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from uniner_dist.errors import ConfigError
from uniner_dist.run.registry import entry_of_store, entry_of_workdir, serves, stores_of, uses, workdirs_of
from uniner_dist.run.run import list_runs, load_run
from uniner_dist.storage.containment import is_same_location, lies_in
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.retries import StorageError


@dataclass
class Scope:
    """Places to visit, in the order in which they were found.

    Attributes:
        workdirs: the one that was named comes first.
        stores: every store that one of them used.
        unreachable: one sentence for each place that is known by name only.
    """

    workdirs: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


def find_scope(workdir: str) -> Scope:
    """Find every workdir and store that is connected with a workdir, by way of stores that they share.

    Args:
        workdir: path or URL of the workdir to begin with; it need not have any runs.

    Returns:
        The places to visit, and those that are registered and cannot be reached or do not confirm the connection.
    """
    scope, waiting = Scope(), [workdir]
    while waiting:
        place = waiting.pop(0)
        if _is_among(place, scope.workdirs):
            continue
        scope.workdirs.append(place)
        for store in _stores(place):
            if not _is_among(store, scope.stores) and _is_store_there(scope, place, store):
                scope.stores.append(store)
                waiting += _other_workdirs(scope, store)
    scope.unreachable = list(dict.fromkeys(scope.unreachable))
    return scope


def _is_store_there(scope: Scope, workdir: str, store: str) -> bool:
    return _reached(scope, f"store {store}", entry_of_store(workdir, store), partial(serves, store, workdir))


def _other_workdirs(scope: Scope, store: str) -> list[str]:
    """Workdirs that the store served; those inside of others are of quality gates, which go with their runs."""
    served = workdirs_of(store)
    return [
        other
        for other in served
        if not _is_among(other, scope.workdirs)
        and not any(lies_in(other, outer) for outer in served if not is_same_location(other, outer))
        and _reached(scope, f"workdir {other}", entry_of_workdir(store, other), partial(uses, other, store))
    ]


def _is_among(place: str, places: list[str]) -> bool:
    """Whether a place is one of some, under whatever name."""
    return any(is_same_location(place, one) for one in places)


def _stores(workdir: str) -> list[str]:
    """Stores in the workdir's registry, and those that runs of earlier releases were started with last."""
    registered = stores_of(workdir)
    pinned = []
    for run_id in list_runs(workdir):
        config = RunLayout(workdir, run_id).config
        if exists(config):
            with suppress(ConfigError):  # a damaged run ends the erasure of its own workdir, when its runs are opened
                pinned.append(load_run(workdir, run_id).config.store_path)
    return list(dict.fromkeys([*registered, *(store for store in pinned if exists(store))]))


def _reached(scope: Scope, name: str, entry: str, is_there: Callable[[], bool]) -> bool:
    try:
        if is_there():
            return True
        why = "is not there"
    except (StorageError, ConfigError) as error:
        why = f"cannot be read: {error}"
    scope.unreachable.append(f"{name} {why} (if it is gone for good, remove {entry})")
    return False
