"""Control file with the probed guarantees of a workdir's storages (`storage.probe`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from uniner_dist.storage.control_files.forms import Name, Words
from uniner_dist.storage.control_files.reading import ControlFile


class ProbedStorage(ControlFile):
    """One storage that may be used.

    Attributes:
        exclusive: how a file is created only if it does not exist, see `storage.filesystem.exclusive_by`.
        weaker: messages about guarantees that other storages give and this one does not.
    """

    exclusive: Literal["put", "link", "open", "rename"]
    weaker: tuple[Words, ...] = ()


class ProbedStorages(ControlFile):
    """Findings by storage, whose name is kind and bucket of a URL, or the mount point of a local file system."""

    storages: dict[Name, ProbedStorage] = Field(default_factory=dict)
