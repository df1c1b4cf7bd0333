"""Checks whether a process that claimed something on this machine is alive, by asking the kernel and not a clock.

They only decide on claims made on this boot of this machine and in this container, where process ids mean the same.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Container

import psutil

from uniner_dist.storage.control_files import Claim

#: Seconds by which the clock of a machine may have been set while a process of an earlier release works.
_CLOCK_SET_S = 3600.0


def is_gone_here(claim: Claim | None, ours: Container[str]) -> bool:
    """Return whether the process was one of this machine and has ended.

    Args:
        claim: process id, start time and machine of a holder; None: not known, so not gone.
        ours: nonces of the leases that this process holds.
    """
    if claim is None or not _is_here(claim):
        return False
    if claim.pid == os.getpid():
        return claim.nonce not in ours
    try:
        process = psutil.Process(claim.pid)
        return _is_another(process, claim) or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        # Processes of other users may be hidden (`hidepid`); the kernel still tells whether a signal would reach them.
        return not psutil.pid_exists(claim.pid)
    except psutil.AccessDenied:
        return False


def is_alive_here(claim: Claim | None) -> bool:
    """Return whether the process is one of this machine and not suspended; ask `is_gone_here` first.

    Whether its process id was given to another process meanwhile is not checked here.

    Args:
        claim: process id and machine of a holder; None: not known, so not alive.

    Returns:
        False also where the kernel does not let this process see the other one.
    """
    if claim is None or not _is_here(claim):
        return False
    try:
        return bool(psutil.Process(claim.pid).status() != psutil.STATUS_STOPPED)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def began_at(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the machine was started; None where the kernel does not say.

    Seconds since the epoch will not do: they are computed from a clock that may be set meanwhile. The figure is field
    22 of `/proc/<pid>/stat` (proc_pid_stat(5)).

    Args:
        pid: id of a process of this machine and container.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])  # field 22 of proc_pid_stat(5)
    except (OSError, ValueError, IndexError):
        return None


def this_machine() -> str:
    """Return an identifier of where process ids mean the same: this boot of this machine, and this container.

    Returns:
        The kernel's boot id and the namespace of process ids; empty if the kernel does not tell them.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return f"{stream.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_here(claim: Claim) -> bool:
    """Return whether a claim was made on this machine and boot, and in this container."""
    return bool(claim.machine) and (claim.machine, claim.host) == (this_machine(), socket.gethostname())


def _is_another(process: psutil.Process, claim: Claim) -> bool:
    """Return whether a process is another one than the one that claimed, whose id it has."""
    if claim.ticks is not None:
        return began_at(process.pid) not in (None, claim.ticks)
    return bool(abs(process.create_time() - claim.started) > _CLOCK_SET_S)  # of an earlier release
