"""Ray's processes are started without a fork in the client of Spark Connect, whose threads are inside of gRPC.

Ray has Python run a function between fork and exec. In a forked child gRPC's handlers run as well, and while another
thread is inside of gRPC the child aborts: 7 of 300 times beside an idle session, and Ray starts a dozen processes.
Without such a function Python uses vfork, which runs no handlers. What Ray's function does is done otherwise: SIGINT is
blocked in this thread, which the child inherits, and `runtime.orphans` ends what this process leaves behind.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CLIENT = "pyspark.sql.connect.client"


@contextmanager
def without_fork() -> Iterator[None]:
    """Processes that Ray starts in this block start safely beside Spark Connect; without it, nothing is changed."""
    from ray._private import services

    popen: Any = getattr(services, "ConsolePopen", None)
    if popen is None or _CLIENT not in sys.modules:
        yield
        return

    def spawn(*args: Any, **options: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return popen(*args, **{**options, "preexec_fn": None})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    services.ConsolePopen = spawn
    try:
        yield
    finally:
        services.ConsolePopen = popen
