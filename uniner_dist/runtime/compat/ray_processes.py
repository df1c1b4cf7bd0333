"""How Ray's processes are started: in a process group of their own, and without a fork where Spark Connect is in use.

A signal to the command's whole group (timeout, systemd, a terminal) would otherwise end Ray's daemons before the
command has let its replicas finish; the command ends them itself, and `runtime.orphans` what a killed command leaves.

Ray has Python run a function between fork and exec. In a forked child gRPC's handlers run as well, and while another
thread is inside of gRPC, as the client of Spark Connect has, the child aborts: 7 of 300 times with an idle session,
and Ray starts a dozen processes. Without such a function Python uses vfork, which runs no handlers. What Ray's function
does is done otherwise: SIGINT is blocked in this thread, which the child inherits.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CLIENT = "pyspark.sql.connect.client"


@contextmanager
def safe_spawning() -> Iterator[None]:
    """Keep signals of this process's group from the processes that Ray starts in this block, and from their children.

    Yields:
        Nothing; Ray's function that starts processes is replaced during the block.
    """
    from ray._private import services

    popen: Any = getattr(services, "ConsolePopen", None)
    if popen is None:
        yield
        return

    def spawn(*args: Any, **options: Any) -> Any:
        options["process_group"] = 0
        if _CLIENT not in sys.modules:
            return popen(*args, **options)
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
