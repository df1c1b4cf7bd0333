"""Control files of a store and of datasets."""

from __future__ import annotations

from uniner_dist.storage.control_files.forms import Hash, RelativePath, Seconds, StoredPath, StoreFileName
from uniner_dist.storage.control_files.reading import ControlFile


class StoreManifest(ControlFile):
    """One change of a store's files, which are named relative to its folder `cells`.

    Attributes:
        at: seconds since the epoch.
        added, replaced: files that count from now on, and files that no longer count.
        nonce: makes the contents of any two manifests differ.
    """

    at: Seconds
    added: tuple[StoreFileName, ...]
    replaced: tuple[StoreFileName, ...]
    nonce: str = ""


class CountedFiles(ControlFile):
    """Files of a dataset that count, relative to its folder; other files there are leftovers of attempts of tasks."""

    files: tuple[RelativePath, ...]


class Registered(ControlFile):
    """A store that a workdir used, or a workdir that a store served; neither is visited unless both say so."""

    path: StoredPath


class Salt(ControlFile):
    """The prefix of everything that a list of erased documents hashes."""

    salt: Hash
