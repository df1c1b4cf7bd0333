"""Replaces Python's `signal.signal` while a library starts that would install handlers of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def own_handlers() -> Iterator[None]:
    """Keep our SIGTERM handler: the one that Ray installs while it starts ends the process at once.

    Not that of SIGINT: children that are to ignore it, such as Spark's JVM, say so by `signal.signal` after the fork.

    Yields:
        Nothing; during the block `signal.signal` changes no handler of SIGTERM, and returns the present one.
    """
    set_handler = signal.signal

    def keep_ours(number: Any, handler: Any) -> Any:
        return signal.getsignal(number) if number == signal.SIGTERM else set_handler(number, handler)

    signal.signal = keep_ours  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = set_handler
