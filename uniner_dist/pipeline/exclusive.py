"""Exclusive work on a run or a store: leases, graceful stops, and one error for failures of Spark, Ray and storage.

A `with` block in which this process is the only one that works on a run, or on parts of a store. Inside of it failures
of Spark, Ray and storage become a `StageError` in one line, and a signal ends it as a `DrainedError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from uniner_dist.errors import DrainedError, RunHeldError, StageError, UninerError
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import STOPPED, StopRequest, stop_on_signals
from uniner_dist.storage.filesystem import list_names
from uniner_dist.storage.lease import Held, Lease, fence, hold_lease
from uniner_dist.storage.place_layout import OutputLayout, WorkdirLayout
from uniner_dist.storage.probe import check_storages


@contextmanager
def working_on(run: Run) -> Iterator[tuple[Run, Lease, StopRequest]]:
    """Hold the lease of a run, unless another process is changing all runs of the workdir.

    Args:
        run: as opened; storages that it writes to are tried first.

    Yields:
        The run with the lease's fencing token, the lease, and the request to stop, which signals make.

    Raises:
        RunHeldError: another process works on the run, or changes all of them.
        DrainedError: a stop was requested.
        StageError: an erasure in the workdir was cut off and must be finished first; or Spark, Ray or a storage failed.
    """
    workdir, output = run.layout.workdir, OutputLayout(run.config.output.path)
    check_storages(workdir, (workdir, output.lease_folder, run.config.store_path))
    with holding(run.layout) as (lease, stop):
        # Both sides claim first and check then: of two that start at the same time, at least one sees the other.
        try:
            fence(WorkdirLayout(run.layout.workdir))
        except RunHeldError as error:
            raise RunHeldError(f"somebody changes all its runs; start again when it is done: {error}") from error
        _refuse_half_erased(WorkdirLayout(run.layout.workdir))
        yield run.under(lease.generation), lease, stop


def _refuse_half_erased(workdir: WorkdirLayout) -> None:
    """Refuse to work while an erasure is half done: its documents are missing from some files and not from others."""
    begun = [name for name in list_names(workdir.erasures) if name.endswith(".json")]
    if begun:
        raise StageError(
            f"workdir {workdir.workdir}: an erasure was cut off (see {workdir.erasures}); start the same `uniner-dist "
            "forget` again first, which finishes it"
        )


@contextmanager
def holding(*places: Held, upkeep: bool = False) -> Iterator[tuple[Lease, StopRequest]]:
    """Hold leases, convert signals to a graceful stop, and failures of Spark, Ray and storage to one error.

    Args:
        places: runs or parts of a store, at least one; what is yielded is the lease of the first.
        upkeep: whether this is maintenance, which is no sign that somebody uses the run (`storage.lease.hold_lease`).

    Yields:
        The lease of the first place, and the request to stop, which signals make.

    Raises:
        RunHeldError: another process holds one of the places, or has taken it over.
        DrainedError: a stop was requested.
        StageError: Spark, Ray or a storage failed; the same command resumes.
    """
    with stop_on_signals() as stop:
        leases: list[Lease] = []
        try:
            with ExitStack() as stack:
                for place in places:
                    leases.append(stack.enter_context(hold_lease(place, on_lost=stop.interrupt, upkeep=upkeep)))
                yield leases[0], stop
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, RunHeldError):
                raise
            for lease in leases:
                if lease.lost:
                    raise lease.why_lost() from error
            if isinstance(error, DrainedError):
                raise
            # What Spark and Ray throw when a signal interrupts their calls is theirs; why we leave is ours.
            if stop.requested or isinstance(error, KeyboardInterrupt):
                raise DrainedError(STOPPED) from error
            if isinstance(error, UninerError) or not _is_infrastructure(error):
                raise
            raise StageError(f"{_format_error(error)}; the same command resumes from what is committed") from error


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
