"""The one exception tree.

Rows never raise past the replica: they become outcomes (see `uniner_dist.core.outcomes`). Everything that stops a
command derives from `UninerError`, carries an exit code, and has a message that says what to do. Pure; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Prefix of the operating system's errors in Python, which is of no use to a reader.
_NUMBER: Final = re.compile(r"\[Errno -?\d+\] ")


class UninerError(Exception):
    """Base of every error this package raises on purpose. `exit_code` is what a command ends with."""

    exit_code = 1


class ConfigError(UninerError):
    """Wrong options, unreadable inputs, an output that holds something else: found before anything is started.

    Args:
        problems: every problem found, one sentence each; all are reported at once.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str] | str) -> None:
        told = [problems] if isinstance(problems, str) else list(problems)
        self.problems = [_NUMBER.sub("", problem) for problem in told]
        bullet = "- " if len(told) > 1 else ""
        super().__init__("\n".join(f"{bullet}{problem}" for problem in self.problems))


class StageError(UninerError):
    """A stage could not do its work (a cluster died, storage refused); running the command again resumes."""

    exit_code = 3


class AuditError(UninerError):
    """An invariant of the data contract does not hold; nothing was published."""

    exit_code = 4


class ThresholdError(UninerError):
    """More annotations failed than `max_failed_fraction` allows; nothing was published."""

    exit_code = 5


class QualityGateError(UninerError):
    """The quality gate stopped the run: answers to gold or to the pinned sample are not good enough.

    Args:
        problems: what is not good enough, one sentence each.
        where: what was and was not done, and where the details are.
        figures: what was measured, for the report.
    """

    exit_code = 7

    def __init__(self, problems: Sequence[str], where: str, figures: Mapping[str, Any]) -> None:
        self.problems, self.where, self.figures = list(problems), where, dict(figures)
        super().__init__("\n".join([*(f"- {problem}" for problem in problems), where]))


class RunHeldError(UninerError):
    """Another live process holds this run."""

    exit_code = 6


class LimitError(UninerError):
    """A limit on prompts or GPU hours was reached with committed work kept; with a higher one the command continues."""

    exit_code = 8


class UnreachableError(UninerError):
    """An erasure did what it could, but some places that it must visit cannot be reached; the message names them."""

    exit_code = 9


class TriageBrokenError(UninerError):
    """The check of a triage says that more was missed than was promised; nothing was published."""

    exit_code = 10


class DrainedError(UninerError):
    """Stopped on request (SIGTERM, Ctrl-C) with committed work kept; the same command resumes."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class PoolError(StageError):
    """No replica could start, or a shard used up its retries. The message carries the engine's own words."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, or the name of its type where it has none.

    Args:
        error: any exception, such as one of a library whose text has several lines.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def format_error(error: UninerError) -> str:
    """Return what a person reads: each problem on a line of its own that begins with `error:`.

    Args:
        error: what stopped a command; of a `QualityGateError` the last line is its `where`.
    """
    problems = error.problems if isinstance(error, ConfigError | QualityGateError) else [str(error)]
    where = [error.where] if isinstance(error, QualityGateError) else []
    return "\n".join([*(f"error: {_NUMBER.sub('', problem)}" for problem in problems), *where])
