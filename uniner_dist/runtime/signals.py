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
    """A request to stop; while `draining` is on, the handler only notes it and the pool polls it.

    Attributes:
        current: the request that signals are noted in; None outside of `stop_on_signals`.
        requested: whether a stop was requested.
        draining: whether the pool polls this request, so that the first signal raises nothing.
        postponed: whether signals are only noted until the end of `uninterrupted`.
    """

    current: StopRequest | None = None

    def __init__(self) -> None:
        self.requested = False
        self.draining = False
        self.postponed = False

    def __call__(self) -> bool:
        """Return whether a stop was requested."""
        return self.requested

    def check(self) -> None:
        """Raise if a stop was requested: after the pool, which may have finished its work before it noticed.

        Raises:
            DrainedError: it was.
        """
        if self.requested:
            raise DrainedError(STOPPED)

    def interrupt(self) -> None:
        """Request a stop, from any thread of this process; has no effect without the handlers of `listen`."""
        if StopRequest.current is self and signal.getsignal(signal.SIGTERM) == self.handle:
            os.kill(os.getpid(), signal.SIGTERM)

    def listen(self) -> None:
        """Install the handlers, again where another library has replaced them; does nothing outside the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the request; a second one, or one outside the pool, leaves at once.

        During `uninterrupted` it only notes the request.

        Args:
            number: number of the signal.
            frame: where the program was interrupted; not used.

        Raises:
            DrainedError: when it leaves.
        """
        again, self.requested = self.requested, True
        if not self.postponed and (not self.draining or again):
            name = signal.Signals(number).name
            raise DrainedError(f"stopped by {name}; committed work is kept, and the same command resumes from there")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Handle SIGTERM and Ctrl-C during a block; only the main thread of a process can.

    Yields:
        The request that signals are noted in. The previous handlers are restored after the block.

    Raises:
        DrainedError: a signal came, where no pool drains on it; raised inside the block.
    """
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

    Outside of `stop_on_signals` it has no effect.

    Yields:
        Nothing; our handlers only note signals during the block.

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
    """Restore the signal handlers after the block: Spark and Ray set their own when they start.

    Yields:
        Nothing; the block may change the handlers of SIGTERM and SIGINT.
    """
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
