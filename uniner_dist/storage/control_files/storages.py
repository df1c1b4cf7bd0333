"""Control file with the probed guarantees of a workdir's storages (`storage.probe`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from uniner_dist.storage.control_files.forms import Name, Words
from uniner_dist.storage.control_files.reading import ControlFile


class ProbedStorage(ControlFile):
    """One storage that may be used.

    Attributes:
        exclusive: by what a file is created that must not exist.
        weaker: messages on guarantees that other storages give and this one does not.
    """

    exclusive: Literal["put", "link", "open", "rename"]
    weaker: tuple[Words, ...] = ()


class ProbedStorages(ControlFile):
    """Kind and bucket, or mount point → what was found."""

    storages: dict[Name, ProbedStorage] = Field(default_factory=dict)
