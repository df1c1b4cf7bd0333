"""Who works on a run: the claim of a generation, and its heartbeat."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from uniner_dist.storage.control_files.forms import Seconds
from uniner_dist.storage.control_files.reading import ControlFile

_Words = Annotated[str, StringConstraints(max_length=1000)]


class Claim(ControlFile):
    """The process that claims a run, and when it did.

    Attributes:
        pid: of a process; never 0 or negative, which would mean groups of processes.
        machine: where process ids mean the same: this boot of this machine, and this container.
    """

    host: _Words
    pid: Annotated[int, Field(ge=1, le=2**31 - 1)]
    machine: _Words = ""
    since: Seconds
    nonce: _Words = ""


class Beat(ControlFile):
    """The last sign of life."""

    at: Seconds
