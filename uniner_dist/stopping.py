"""Graceful stop: SIGTERM and Ctrl-C become a request that the pool drains on, or an error between the stages."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from uniner_dist.errors import DrainedError

STOPPED = "stopped on request; committed work is kept, and the same command goes on from there"


class StopRequest:
    """Whether somebody asked to stop; while `draining` is on, the asked one looks for itself."""

    def __init__(self) -> None:
        self.requested = False
        self.draining = False

    def __call__(self) -> bool:
        return self.requested

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the request; a second one, or one outside the pool, leaves at once."""
        again, self.requested = self.requested, True
        if not self.draining or again:
            name = signal.Signals(number).name
            raise DrainedError(f"stopped by {name}; committed work is kept, and the same command goes on from there")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Install the handlers for the time of a `with` block; only the main thread of a process can."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, request.handle) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
