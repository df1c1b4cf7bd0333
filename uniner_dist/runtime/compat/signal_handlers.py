"""Python's `signal.signal`, replaced while a library starts that would put handlers of its own in our place."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def own_handlers() -> Iterator[None]:
    """Leave our handler of SIGTERM where it is: those that Ray puts there while it starts end the process at once.

    Not that of SIGINT: children that are to ignore it, such as Spark's JVM, say so by `signal.signal` after the fork.
    """
    set_handler = signal.signal

    def keep_ours(number: Any, handler: Any) -> Any:
        return signal.getsignal(number) if number == signal.SIGTERM else set_handler(number, handler)

    signal.signal = keep_ours  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = set_handler
