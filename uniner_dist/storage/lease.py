"""One process at a time works on a run, an output, a part of a store or all runs of a workdir: leases with fencing.

A lease is a folder. The process that takes it creates `<generation>.json`, which only one process can, and rewrites
`<generation>.beat.json` every few seconds; `<generation>.end.json` says that the work is over. The highest generation
holds the lease, and its number is the fencing token: names of files that the holder may destroy contain it (see
`storage.layout`), so that a process that was replaced while it was suspended can reach only its own files.

Whether a holder is alive is never decided by comparing clocks. On the holder's own machine the kernel knows. Elsewhere
it is watched: a holder whose heartbeat does not change for `STALE_S` of the watcher's own monotonic clock is dead, and
is followed by the next generation, which again only one process can create. A holder that wakes up later learns of it
at its next heartbeat, which asks the process to stop, or at its next `check`, which precedes everything that changes
what others see. `check` renews the heartbeat first, so that nobody can take over within `STALE_S` of it, unless this
process, or the one that watches it, is suspended at that moment.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psutil

from uniner_dist.errors import RunHeldError
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.control_files import Claim, ControlFileError, End, Heartbeat, read_control, write_control
from uniner_dist.storage.filesystem import join, list_names, read_bytes, remove
from uniner_dist.storage.generations import REACHABLE, highest_believed
from uniner_dist.storage.liveness import began_at, is_alive_here, is_gone_here, this_machine
from uniner_dist.storage.retries import StorageError

BEAT_S = 5.0
#: A holder whose heartbeat did not change for this many seconds is dead.
STALE_S = 60.0
#: Seconds between two reads of another process's lease while it is watched.
_LOOK_S = 0.5
#: Number of earlier claims that are kept.
_KEPT = 8
_NAME = re.compile(r"([0-9]{6,18})\.(?:(beat|end)\.)?json", re.ASCII)

#: Nonces of the leases that this process holds.
_ours: set[str] = set()


class Held(Protocol):
    """Something that one process at a time works on."""

    @property
    def title(self) -> str:
        """Its name in messages."""

    @property
    def lease_folder(self) -> str:
        """Folder of the lease."""

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that must not be links: the holder of the lease writes and removes files there."""


@dataclass(frozen=True)
class _State:
    """A lease as one listing shows it; in generation 0 nobody ever held it."""

    generation: int
    ended: bool
    names: tuple[str, ...]


class Lease:
    """The right to work on something, as long as no later generation exists."""

    def __init__(self, place: Held, generation: int, nonce: str, on_lost: Callable[[], None]) -> None:
        self._place, self.generation, self._nonce, self._on_lost = place, generation, nonce, on_lost
        self._lost = threading.Event()
        self._done = threading.Event()
        self._beats, self._beaten_s = 0, _now()
        _ours.add(nonce)
        self._thread = threading.Thread(target=self._keep_alive, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether a later holder was seen."""
        return self._lost.is_set()

    def check(self) -> None:
        """Verify by storage that no other process has taken over, and that none can do so for `STALE_S` seconds.

        Raises:
            RunHeldError: another process has.
        """
        if not self.lost and _now() - self._beaten_s > BEAT_S:
            self._write_heartbeat()
        if self.lost or _look(self._place).generation != self.generation:
            self._lost.set()
            raise self.why_lost()

    def why_lost(self) -> RunHeldError:
        """Return the error for a lease that another process has taken over; it names that process if known."""
        later = _describe(_read_claim(self._place, _look(self._place).generation))
        return RunHeldError(
            f"{self._place.title}: was taken over by {later} while this process did not run; "
            "nothing more is written here"
        )

    def release(self) -> None:
        """End the lease, so that the next process need not wait for it to expire."""
        self._done.set()
        self._thread.join(timeout=BEAT_S)
        _ours.discard(self._nonce)
        _end(self._place, self.generation, self._nonce)

    def _keep_alive(self) -> None:
        while not self._done.wait(BEAT_S):
            # Storage may hiccup; the next beat tries again, and `check` decides before anything is published.
            with contextlib.suppress(StorageError):
                if _look(self._place).generation != self.generation:
                    self._lost.set()
                    self._on_lost()
                    return
                self._write_heartbeat()

    def _write_heartbeat(self) -> None:
        begun = _now()
        self._beats += 1
        write_control(_path(self._place, self.generation, "beat"), Heartbeat(beats=self._beats, nonce=self._nonce))
        self._beaten_s = begun


@contextmanager
def hold_lease(
    place: Held, on_lost: Callable[[], None] = lambda: None, *, wait_s: float = 0.0, upkeep: bool = False
) -> Iterator[Lease]:
    """Hold a lease during a `with` block.

    A holder on another machine whose lease has not ended is watched for up to `STALE_S` seconds before it counts as
    dead, whatever `wait_s` is.

    Args:
        place: what one process at a time works on: a run, an output, a workdir or a part of the store.
        on_lost: called in the heartbeat's thread when a later holder is seen.
        wait_s: how long to wait for a living holder to finish.
        upkeep: this is maintenance, and no sign that somebody works on the run (see `last_worked`).

    Yields:
        The lease; its `generation` is the fencing token.

    Raises:
        RunHeldError: a living process holds it; the message says which.
        OutsideError: one of its folders is a link.
        StorageError: the lease cannot be read or written.
    """
    lease = _take(place, on_lost, time.monotonic() + wait_s, upkeep)
    try:
        yield lease
    finally:
        lease.release()


def fence(place: Held) -> None:
    """Fence off earlier holders: a suspended one that wakes up later cannot continue.

    Args:
        place: what they worked on; a lease that has ended, or that nobody ever held, is left as it is.

    Raises:
        RunHeldError: a living process holds it.
        OutsideError: one of its folders is a link.
        StorageError: the lease cannot be read or written.
    """
    state = _look(place)
    if state.generation and not state.ended:
        with hold_lease(place, upkeep=True):
            pass


def current_holder(place: Held) -> str | None:
    """Return a description of a lease's holder for messages, such as "process 12 on host (since …)".

    Args:
        place: what the holder works on; its lease is only read.

    Returns:
        None without a holder: nobody ever held the lease, it has ended, or its process on this machine is gone. A
        holder on another machine may be dead, as only watching can tell.
    """
    state = _look(place)
    if not state.generation or state.ended:
        return None
    claim = _read_claim(place, state.generation)
    return None if is_gone_here(claim, _ours) else _describe(claim)


def last_worked(place: Held) -> float:
    """Return when anybody last took the lease to do work, in seconds since the epoch by that process's clock.

    Args:
        place: what was worked on; its lease is only read.

    Returns:
        0.0 when nobody ever held the lease, or its last claim is gone or damaged. Maintenance (`upkeep`) does not
        count.
    """
    state = _look(place)
    claim = _read_claim(place, state.generation) if state.generation else None
    if claim is None:
        return 0.0
    return claim.since if claim.worked is None else claim.worked


# -- taking ------------------------------------------------------------------------------------------------------------


def _take(place: Held, on_lost: Callable[[], None], deadline: float, upkeep: bool) -> Lease:
    for folder in place.own_folders:
        require_no_link(folder)
    while True:
        state = _look(place)
        if not state.generation or state.ended or _is_dead(place, state.generation):
            lease = _claim(place, state, on_lost, upkeep)
            if lease is not None:
                return lease
        if time.monotonic() >= deadline:
            who = _describe(_read_claim(place, _look(place).generation))
            raise RunHeldError(
                f"{place.title}: {who} works on it. Wait for it or stop it; if it is dead, this command takes over "
                f"{STALE_S:g} s after its last sign of life"
            )
        time.sleep(_LOOK_S)


def _claim(place: Held, state: _State, on_lost: Callable[[], None], upkeep: bool) -> Lease | None:
    """Create the next generation; None when another process was faster."""
    generation, nonce, now = state.generation + 1, uuid.uuid4().hex, time.time()
    claim = Claim(
        host=socket.gethostname(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        ticks=began_at(os.getpid()),
        machine=this_machine(),
        since=now,
        worked=last_worked(place) if upkeep else now,
        nonce=nonce,
    )
    _ours.add(nonce)
    lease = None
    try:
        # The number may be free again because old claims are removed: then a later one is there.
        if write_control(_path(place, generation), claim, exclusive=True) and _look(place).generation == generation:
            lease = Lease(place, generation, nonce, on_lost)
            _remove_old_claims(place, state)
        return lease
    except BaseException:
        if lease is not None:
            lease.release()
        else:  # the claim may be there all the same, and this process may live on
            _end_later(place, generation, nonce)
        raise
    finally:
        if lease is None:
            _ours.discard(nonce)


def _end(place: Held, generation: int, nonce: str) -> None:
    """Mark the work under a claim as finished.

    To others on this machine a running process holds its lease: one that cannot write the end now keeps trying.
    """
    try:
        write_control(_path(place, generation, "end"), End(nonce=nonce))
    except StorageError:
        _end_later(place, generation, nonce)


def _end_later(place: Held, generation: int, nonce: str) -> None:
    """End a claim as soon as storage works again, if it is there and ours."""

    def end() -> None:
        while True:
            time.sleep(BEAT_S)
            with contextlib.suppress(StorageError):
                claim = _read_claim(place, generation)
                if claim is not None and claim.nonce == nonce:
                    write_control(_path(place, generation, "end"), End(nonce=nonce))
                return

    threading.Thread(target=end, name="end of a lease", daemon=True).start()


def _remove_old_claims(place: Held, state: _State) -> None:
    if state.generation > REACHABLE:  # by somebody else's claim, without which this one is not believed either
        return
    for name in state.names:
        match = _NAME.fullmatch(name)
        if match and int(match[1]) <= state.generation - _KEPT:
            with contextlib.suppress(StorageError):
                remove(join(place.lease_folder, name))


# -- watching ----------------------------------------------------------------------------------------------------------


def _is_dead(place: Held, generation: int) -> bool:
    """Return whether a holder is gone: known at once on its own machine, else after it was watched for `STALE_S`."""
    claim = _read_claim(place, generation)
    if is_gone_here(claim, _ours):
        return True
    if is_alive_here(claim):
        return False
    first, begun = _read_heartbeat(place, generation), time.monotonic()
    while True:
        time.sleep(_LOOK_S)
        # The time is taken before the read: a process that was suspended here reads once more.
        last = time.monotonic() - begun >= STALE_S
        state = _look(place)
        if state.generation != generation:
            return False
        if state.ended:
            return True
        if _read_heartbeat(place, generation) != first:
            return False
        if last:
            return True


def _now() -> float:
    """Seconds of a clock that is never set and runs while this machine is suspended, as the watchers' clocks do."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


# -- files -------------------------------------------------------------------------------------------------------------


def _path(place: Held, generation: int, kind: str = "") -> str:
    return join(place.lease_folder, f"{generation:06d}.{kind}{'.' if kind else ''}json")


def _look(place: Held) -> _State:
    names = tuple(list_names(place.lease_folder))
    found = [match for match in map(_NAME.fullmatch, names) if match]
    latest = highest_believed(int(match[1]) for match in found if match[2] is None)
    return _State(latest, any(match[2] == "end" and int(match[1]) == latest for match in found), names)


def _read_claim(place: Held, generation: int) -> Claim | None:
    """A claim; None when it is gone or not one of ours."""
    try:
        return read_control(_path(place, generation), Claim)
    except (FileNotFoundError, ControlFileError):
        return None


def _read_heartbeat(place: Held, generation: int) -> bytes:
    try:
        return read_bytes(_path(place, generation, "beat"))
    except FileNotFoundError:
        return b""


def _describe(claim: Claim | None) -> str:
    if claim is None:
        return "another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(claim.since))
    return f"process {claim.pid} on {claim.host} (since {since})"
