"""Ends processes that a killed command leaves: a small watcher process kills the command's children after its end.

Ray's daemons and agents notice only after up to 100 s that the command which started them was killed outright, and a
hung engine never does. So the command starts, once, a watcher of some 8 MB that waits for the end of a pipe. When the
command has ended, in whatever way, the watcher kills every process that was started under the command's mark (a
variable in the environment of Ray's daemons and of Spark's JVM, which their children inherit). It touches nothing else,
and clusters that were there before carry no mark.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: The variable that marks the processes of a command; its value is unique to the command.
MARK = "UNINER_DIST_FAMILY"
#: After an orderly end of the command its marked processes have this long to end by themselves, in seconds.
_GRACE_S = 30

_WATCHER = """
import os, signal, sys, time

mark = sys.argv[1].encode()
grace = float(sys.argv[2])

def family():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                if mark in stream.read().split(b"\\0"):
                    yield int(pid)
        except OSError:
            pass

signal.signal(signal.SIGTERM, signal.SIG_IGN)
until = time.monotonic() + grace if sys.stdin.buffer.read() else 0.0
while time.monotonic() < until and any(family()):
    time.sleep(0.2)
for _ in range(50):
    living = list(family())
    if not living:
        break
    for pid in living:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    time.sleep(0.1)
"""

_watcher: subprocess.Popen[bytes] | None = None
_mark = ""


@contextmanager
def tag_children() -> Iterator[None]:
    """Mark processes that are started in this block, and their children: they end with this process.

    Only on Linux; elsewhere the block runs as it is.

    Yields:
        Nothing; the mark is in this process's environment during the block.
    """
    if not os.path.isdir("/proc/self"):  # not Linux
        yield
        return
    _watch()
    # Some of Ray's processes write their title over their environment unless the second variable is there.
    variables = {MARK: _mark, "SPT_NOENV": "1"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _watch() -> None:
    """Start the watcher, once per process; a session of its own keeps it out of Ctrl-C and of kills of the group."""
    global _watcher, _mark
    if _watcher is not None:
        return
    _mark = uuid.uuid4().hex
    _watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHER, f"{MARK}={_mark}", str(_GRACE_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(_say_goodbye, _watcher)


def _say_goodbye(watcher: subprocess.Popen[bytes]) -> None:
    """Tell the watcher that this is an orderly end."""
    with suppress(OSError):
        if watcher.stdin is not None:
            watcher.stdin.write(b"bye")
            watcher.stdin.close()
