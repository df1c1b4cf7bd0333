"""One process at a time works on a run: claims with generations, heartbeats, and fencing.

A claim is a file `<generation>.json` created exclusively; the highest generation holds the run. Its holder rewrites
`<generation>.beat.json` every few seconds. A claim whose heart stopped may be followed by the next generation, and
again only one process can win that. A holder that slept through its own replacement notices at its next beat, which
asks the process to leave, or at its next check, which stands before everything that changes what others see. Clocks of
the machines may differ by less than `STALE_S`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from uniner_dist.errors import RunHeldError
from uniner_dist.storage.filesystem import StorageError, join, list_names, read_json, remove, write_json

BEAT_S = 5.0
#: A heart that did not beat for this long has stopped.
STALE_S = 60.0


class Held(Protocol):
    """What one process at a time works on: a run, or the store's part of one fingerprint."""

    @property
    def title(self) -> str:
        """How messages call it."""

    @property
    def holders(self) -> str:
        """Folder of the claims."""


class Holder:
    """The right to work on a run, as long as no later generation exists."""

    def __init__(self, layout: Held, generation: int, on_lost: Callable[[], None]) -> None:
        self._layout, self.generation, self._on_lost = layout, generation, on_lost
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._beat()
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether a heartbeat saw a later holder."""
        return self._lost.is_set()

    def check(self) -> None:
        """Make sure, against storage, that nobody has taken over.

        Raises:
            RunHeldError: somebody has.
        """
        if self.lost or _latest(self._layout) != self.generation:
            self._lost.set()
            raise self.why_lost()

    def why_lost(self) -> RunHeldError:
        """What to tell when the run is somebody else's by now."""
        later = _describe(self._layout, _latest(self._layout))
        return RunHeldError(
            f"{self._layout.title}: was taken over by {later} while this process stood still; "
            "nothing more is written here"
        )

    def release(self) -> None:
        """Say that the work is over, so that the next start need not wait for the heart to stop."""
        self._done.set()
        self._thread.join(timeout=BEAT_S)
        if not self.lost:
            # A beat that cannot be removed grows old by itself.
            with contextlib.suppress(StorageError):
                remove(_beat_path(self._layout, self.generation))

    def _beat_on(self) -> None:
        while not self._done.wait(BEAT_S):
            # Storage may hiccup; the next beat tries again, and `check` decides before anything is published.
            with contextlib.suppress(StorageError):
                if _latest(self._layout) != self.generation:
                    self._lost.set()
                    self._on_lost()
                    return
                self._beat()

    def _beat(self) -> None:
        write_json(_beat_path(self._layout, self.generation), {"at": time.time()})


@contextmanager
def hold(layout: Held, on_lost: Callable[[], None] = lambda: None) -> Iterator[Holder]:
    """Hold the run for the time of a `with` block.

    Args:
        on_lost: called in the heart's thread when a later holder is seen.

    Raises:
        RunHeldError: a living process holds it; the message says which.
    """
    latest = _latest(layout)
    if latest and _is_alive(layout, latest):
        raise RunHeldError(
            f"{layout.title}: {_describe(layout, latest)} works on it. Wait for it or stop it; "
            f"if it is dead, this command may take over {STALE_S:g} s after its last sign of life"
        )
    claim = {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "since": time.time()}
    claim["nonce"] = uuid.uuid4().hex  # no two claims have the same content
    # The heart beats before the claim is there: a claim without a beat would look dead to a third candidate.
    write_json(_beat_path(layout, latest + 1), {"at": time.time()})
    if not write_json(_claim_path(layout, latest + 1), claim, exclusive=True):
        raise RunHeldError(f"{layout.title}: {_describe(layout, latest + 1)} was faster in taking it over")
    holder = Holder(layout, latest + 1, on_lost)
    try:
        yield holder
    finally:
        holder.release()


def current_holder(layout: Held) -> str | None:
    """Words for who works on the run right now; None when nobody does."""
    latest = _latest(layout)
    return _describe(layout, latest) if latest and _is_alive(layout, latest) else None


def _claim_path(layout: Held, generation: int) -> str:
    return join(layout.holders, f"{generation:06d}.json")


def _beat_path(layout: Held, generation: int) -> str:
    return join(layout.holders, f"{generation:06d}.beat.json")


def _latest(layout: Held) -> int:
    stems = (name.split(".", 1) for name in list_names(layout.holders))
    return max((int(stem) for stem, *rest in stems if rest == ["json"] and stem.isdigit()), default=0)


def _is_alive(layout: Held, generation: int) -> bool:
    """Whether the heart of a claim beats: a recent beat, and on this machine a living process."""
    try:
        beat: dict[str, Any] = read_json(_beat_path(layout, generation))
        claim: dict[str, Any] = read_json(_claim_path(layout, generation))
    except (FileNotFoundError, ValueError):
        return False
    if claim.get("machine") == _machine() and claim.get("host") == socket.gethostname():
        return _process_exists(int(claim["pid"])) and time.time() - float(beat["at"]) < STALE_S
    return time.time() - float(beat["at"]) < STALE_S


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _describe(layout: Held, generation: int) -> str:
    try:
        claim = read_json(_claim_path(layout, generation))
    except (FileNotFoundError, ValueError):
        return "another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(claim["since"])))
    return f"process {claim['pid']} on {claim['host']} (since {since})"


def _machine() -> str:
    """Where process ids mean the same: this boot of this machine, and this container; empty if the kernel is mute."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return f"{stream.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
