"""Taking and keeping what a command works on: leases, graceful stops, and one kind of error for what fails around us.

Enters: a run, or parts of a store. Leaves: a `with` block in which this process is the only one at work on it, whose
failures of Spark, Ray and storage are a `StageError` in one line, and which a signal ends as a `DrainedError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from uniner_dist.errors import DrainedError, RunHeldError, StageError, UninerError
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import STOPPED, StopRequest, stop_on_signals
from uniner_dist.storage.layout import WorkdirLayout
from uniner_dist.storage.lease import Held, Holder, current_holder, hold


@contextmanager
def working_on(run: Run) -> Iterator[tuple[Holder, StopRequest]]:
    """`holding` the run, unless somebody is changing all runs of the workdir."""
    with holding(run.layout) as held:
        # Claimed first, then looked, on both sides: of two that start at the same time, at least one sees the other.
        busy = current_holder(WorkdirLayout(run.layout.workdir))
        if busy:
            raise RunHeldError(
                f"workdir {run.layout.workdir}: {busy} changes all its runs; start again when it is done"
            )
        yield held


@contextmanager
def holding(*places: Held) -> Iterator[tuple[Holder, StopRequest]]:
    """Hold what is worked on, turn signals into a graceful stop, and failures of Spark, Ray and storage into one error.

    Args:
        places: runs or parts of a store, at least one; what is yielded is the holder of the first.

    Raises:
        RunHeldError: another process holds the run, or has taken it over.
        DrainedError: somebody asked to stop.
        StageError: anything around us failed; the same command resumes.
    """
    with stop_on_signals() as stop:
        holders: list[Holder] = []
        try:
            with ExitStack() as stack:
                for place in places:
                    holders.append(stack.enter_context(hold(place, on_lost=stop.interrupt)))
                yield holders[0], stop
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, RunHeldError):
                raise
            for holder in holders:
                if holder.lost:
                    raise holder.why_lost() from error
            if isinstance(error, DrainedError):
                raise
            # What Spark and Ray throw when a signal interrupts their calls is theirs; why we leave is ours.
            if stop.requested or isinstance(error, KeyboardInterrupt):
                raise DrainedError(STOPPED) from error
            if isinstance(error, UninerError) or not _is_infrastructure(error):
                raise
            raise StageError(f"{_format_error(error)}; the same command goes on from what is committed") from error


def _is_infrastructure(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("pyspark", "py4j", "ray")


def _format_error(error: Exception) -> str:
    """One line without a stack trace."""
    if type(error).__module__.split(".")[0] in ("pyspark", "py4j") or isinstance(error, ConnectionError):
        return f"the connection to Spark's JVM broke, or Spark failed: {_first_line(error)}"
    if isinstance(error, OSError):
        return f"{error.filename or 'storage'}: {error.strerror or _first_line(error)}"
    return f"Ray failed: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
