"""What a compaction of a store leaves: which files took the place of which."""

from __future__ import annotations

from uniner_dist.storage.control_files.forms import Seconds, StoreFileName
from uniner_dist.storage.control_files.reading import ControlFile


class StoreManifest(ControlFile):
    """One change of a store's files; names in its folder `cells`.

    Attributes:
        at: seconds since the epoch.
    """

    at: Seconds
    added: tuple[StoreFileName, ...]
    replaced: tuple[StoreFileName, ...]
