"""Which stores a workdir ever used, and which workdirs a store ever served: who erases must know both.

Each start writes both names, once: into the workdir that it uses the store, and into the store that it serves the
workdir. One small file for each pair, which nothing ever changes.
"""

from __future__ import annotations

from uniner_dist.core.hashing import digest
from uniner_dist.storage.containment import is_same_location, require_no_link
from uniner_dist.storage.control_files import Registered, read_control
from uniner_dist.storage.filesystem import exists, join, list_names, write_json
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout


def register(workdir: str, store: str) -> None:
    """Record in a workdir that it uses a store, and in the store that it serves the workdir, unless they are recorded.

    Args:
        workdir: absolute path or URL of the workdir.
        store: absolute path or URL of the store.

    Raises:
        OutsideError: one of the folders for this is a link.
    """
    # The store first: a run that is killed in between has put nothing into it, and its workdir misses no store then.
    for folder, value in ((_workdirs(store), workdir), (WorkdirLayout(workdir).stores, store)):
        path = _entry(folder, value)
        require_no_link(folder)
        if not exists(path):
            write_json(path, {"path": value}, exclusive=True)


def stores_of(workdir: str) -> list[str]:
    """Return every store that a run of the workdir ever used, sorted; empty where there is no such workdir.

    Args:
        workdir: path or URL of the workdir.

    Raises:
        ControlFileError: an entry is damaged.
    """
    return _read(WorkdirLayout(workdir).stores)


def workdirs_of(store: str) -> list[str]:
    """Return every workdir whose runs ever used the store, sorted; empty where there is no such store.

    Args:
        store: path or URL of the store.

    Raises:
        ControlFileError: an entry is damaged.
    """
    return _read(_workdirs(store))


def serves(store: str, workdir: str) -> bool:
    """Return whether the store exists and has the workdir recorded, under this name or another name of the same place.

    Args:
        store: path or URL of the store.
        workdir: path or URL of the workdir.
    """
    return exists(_entry(_workdirs(store), workdir)) or _holds(workdirs_of(store), workdir)


def uses(workdir: str, store: str) -> bool:
    """Return whether the workdir exists and has the store recorded, under this name or another name of the same place.

    Args:
        workdir: path or URL of the workdir.
        store: path or URL of the store.
    """
    return exists(_entry(WorkdirLayout(workdir).stores, store)) or _holds(stores_of(workdir), store)


def entry_of_workdir(store: str, workdir: str) -> str:
    """Return the file by which a store knows a workdir; without it the workdir is forgotten. It need not exist.

    Args:
        store: path or URL of the store.
        workdir: the workdir as it was registered.
    """
    return _entry(_workdirs(store), workdir)


def entry_of_store(workdir: str, store: str) -> str:
    """Return the file by which a workdir knows a store; without it the store is forgotten. It need not exist.

    Args:
        workdir: path or URL of the workdir.
        store: the store as it was registered.
    """
    return _entry(WorkdirLayout(workdir).stores, store)


def _holds(places: list[str], place: str) -> bool:
    return any(is_same_location(place, one) for one in places)


def _workdirs(store: str) -> str:
    return StoreLayout(store, "").workdirs


def _entry(folder: str, value: str) -> str:
    return join(folder, f"{digest({'path': value})}.json")


def _read(folder: str) -> list[str]:
    return sorted(
        {read_control(join(folder, name), Registered).path for name in list_names(folder) if name.endswith(".json")}
    )
