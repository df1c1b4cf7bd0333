"""Graceful stop: SIGTERM and Ctrl-C become a request that the pool drains on, or an error between the stages."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from uniner_dist.errors import DrainedError
from uniner_dist.runtime.compat.signal_handlers import own_handlers

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED = "stopped on request; committed work is kept, and the same command resumes from there"


class StopRequest:
    """A request to stop; while `draining` is on, the handler only notes it and the pool polls it."""

    current: StopRequest | None = None

    def __init__(self) -> None:
        self.requested = False
        self.draining = False
        self.postponed = False

    def __call__(self) -> bool:
        """Whether a stop was requested."""
        return self.requested

    def interrupt(self) -> None:
        """Request a stop, from any thread of this process; has no effect without the handlers of `listen`."""
        if StopRequest.current is self and signal.getsignal(signal.SIGTERM) == self.handle:
            os.kill(os.getpid(), signal.SIGTERM)

    def listen(self) -> None:
        """Install the handlers, again where another library has replaced them."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the request; a second one, or one outside the pool, leaves at once.

        Raises:
            DrainedError: when it leaves.
        """
        again, self.requested = self.requested, True
        if not self.postponed and (not self.draining or again):
            name = signal.Signals(number).name
            raise DrainedError(f"stopped by {name}; committed work is kept, and the same command resumes from there")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Handle the signals during a `with` block; only the main thread of a process can."""
    request, around = StopRequest(), StopRequest.current
    with signal_handlers():
        request.listen()
        StopRequest.current = request
        try:
            yield request
        finally:
            StopRequest.current = around


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Postpone a stop to the end of the block: a JVM or a cluster that is stopped half started may not end.

    Raises:
        DrainedError: at the end of the block, if a stop was postponed.
    """
    request = StopRequest.current
    if request is None:
        yield
        return
    request.postponed = True
    try:
        with own_handlers():
            yield
    finally:
        request.postponed = False
        request.listen()
    if request.requested and not request.draining:
        raise DrainedError(STOPPED)


@contextmanager
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers after the block: Spark and Ray set their own when they start."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
