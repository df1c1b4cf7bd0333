"""Messages of dead engines."""

from __future__ import annotations

import contextlib
import os

#: Last lines of a process's log that are searched, and number of lines that are quoted.
_LINES_READ, _LINES_QUOTED = 400, 8


def explain(error: BaseException) -> str:
    """Return the exception, up to three of its causes, and the last error lines that this process wrote to stderr.

    Args:
        error: what the engine raised; its own text often only refers to a child process, whose errors are in the log.
    """
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 4:
        chain.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    return " <- ".join(chain) + _log_tail()


def _log_tail() -> str:
    """Last error lines of what this process wrote to stderr, where an engine's child process reports its root cause."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        path = os.readlink("/proc/self/fd/2")
        with open(path, encoding="utf-8", errors="replace") as stream:
            errors = [line.strip() for line in stream.readlines()[-_LINES_READ:] if "ERROR" in line or "Error:" in line]
        return "".join(f"\n  {line[:300]}" for line in errors[-_LINES_QUOTED:])
    return ""
