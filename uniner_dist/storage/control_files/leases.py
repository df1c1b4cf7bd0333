"""Control files of a lease: the claim of a generation, its heartbeat, and its end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from uniner_dist.storage.control_files.forms import Count, Seconds
from uniner_dist.storage.control_files.reading import ControlFile

_Words = Annotated[str, StringConstraints(max_length=1000)]


class Claim(ControlFile):
    """The process that claims a run, and when it did.

    Attributes:
        pid: id of the process; never 0 or negative, which would mean groups of processes.
        started: when that process began, by its own machine's clock, as earlier releases tell processes apart.
        ticks: when that process began, in clock ticks since its machine was started: process ids are reused, and a
            clock may be set.
        machine: where process ids mean the same: this boot of this machine, and this container.
        worked: when the lease was last taken for work and not for maintenance.
    """

    host: _Words
    pid: Annotated[int, Field(ge=1, le=2**31 - 1)]
    started: Seconds = 0.0
    ticks: Count | None = None
    machine: _Words = ""
    since: Seconds
    worked: Seconds | None = None
    nonce: _Words = ""


class Heartbeat(ControlFile):
    """The heartbeat of a holder: only that it changes matters."""

    beats: Count
    nonce: _Words = ""


class End(ControlFile):
    """The holder has finished its work."""

    nonce: _Words = ""
