"""Tracks failures in a row: how long the pool waits before retries, and when it gives up the job.

Applies the rules of `decisions`. Moments are `time.monotonic()` in seconds, given by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

from uniner_dist.completions.decisions import backoff, gives_up_starting, never_answers
from uniner_dist.completions.work import WorkItem
from uniner_dist.config.schema import PoolConfig
from uniner_dist.errors import PoolError, StageError

#: Times a shard may fail for another reason than its engine before the job ends; each has some tries of its own inside.
_MAX_WORK_FAILURES = 3
#: First wait before work is handed out again after an item failed for another reason than its engine: storage, mostly.
_STORAGE_BACKOFF_S = 2.0


class FailureTracker:
    """Counters of failures in a row; `replace_at_s` and `feed_at_s` say when to ask for replicas and hand out work.

    Args:
        config: limits of failures, and the first wait before a replica is replaced.
    """

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._failed_starts = self._deaths = self._unexplained_deaths = 0
        self.replace_at_s = self.feed_at_s = 0.0

    def started(self) -> None:
        """A replica has loaded."""
        self._failed_starts = 0

    def worked(self) -> None:
        """A replica has finished a work item."""
        self._deaths = self._unexplained_deaths = 0

    def start_failed(self, now: float, ready: int, message: str) -> None:
        """Count a replica that did not load, and set when the next one may be asked for.

        Args:
            now: seconds of a monotonic clock.
            ready: replicas that are loaded.
            message: what the replica reported, for the error.

        Raises:
            PoolError: so many failed in a row, with none loaded, that none can start.
        """
        self._failed_starts += 1
        if gives_up_starting(self._failed_starts, self._config.max_start_failures, ready):
            raise PoolError(f"no replica could start ({self._failed_starts} tries). The engine says:\n{message}")
        self.replace_at_s = now + backoff(self._failed_starts, self._config.backoff_s)

    def died(self, now: float, items: Sequence[WorkItem], reasons: Sequence[str], answered: bool, message: str) -> None:
        """Count a loaded replica that is gone, and set when the next one may be asked for.

        Args:
            now: seconds of a monotonic clock.
            items: work items that it held.
            reasons: why the job must be given up because of these items alone, as from `WorkQueue.died`; usually empty.
            answered: whether any replica has ever answered a prompt of this run.
            message: last lines that the replica wrote, for the error.

        Raises:
            PoolError: the job is given up.
        """
        self._deaths += 1
        if never_answers(self._deaths, self._config.max_shard_attempts, answered):
            reasons = [f"replicas load, but none ever answered a prompt ({self._deaths} died)"]
        if reasons:
            raise PoolError(f"{reasons[0]}; the job is given up. The last replica says:\n{message}")
        # Further deaths of a suspect are expected, and each one narrows the search for the poison prompt.
        expected = any(item.alone for item in items)
        self._unexplained_deaths += not expected
        self.replace_at_s = now + backoff(0 if expected else self._unexplained_deaths - 1, self._config.backoff_s)

    def work_failed(self, now: float, item: WorkItem, failures: int, message: str) -> None:
        """Count a work item that failed on a replica that still works, and set when to hand out work again.

        Args:
            now: seconds of a monotonic clock.
            item: the work item.
            failures: how often its shard has failed in a row, this time included.
            message: the error of this failure (storage, mostly), for the error raised here.

        Raises:
            StageError: the shard has failed three times.
        """
        if failures >= _MAX_WORK_FAILURES:
            raise StageError(f"shard {item.shard} failed {failures} times, for the last time with:\n{message}")
        self.feed_at_s = now + backoff(failures, _STORAGE_BACKOFF_S)
