"""Statistics of the pool: working time and answers of all its replicas, including lost ones.

Moments are `time.monotonic()` in seconds, given by the caller, so that a simulation can keep its own clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uniner_dist.completions.replica.protocol import WorkResult
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import Loss, ReplicaState


class PoolStats:
    """Maintains a `PoolSummary`.

    Args:
        now: start of the pool; its events are timed from there.
    """

    def __init__(self, now: float) -> None:
        self.summary = PoolSummary()
        self._began_s = self._running_since_s = now
        self._answering_since_s: float | None = None
        self._replica_s_of_gone = 0.0
        self._answered_by_gone = 0

    def begin(self, now: float) -> None:
        """Reset all counters for another run, except what the engines report about themselves.

        Args:
            now: seconds of a monotonic clock; events are timed from there.
        """
        self.summary = PoolSummary(engines=self.summary.engines)
        self._began_s, self._replica_s_of_gone, self._answered_by_gone = now, 0.0, 0

    def run(self, now: float, shards: int) -> None:
        """Begin to count working time, and add to the number of shards.

        Args:
            now: seconds of a monotonic clock.
            shards: how many are to be completed from now on.
        """
        self.summary.shards += shards
        self._running_since_s, self._answering_since_s = now, None

    def update_clock(self, now: float, slots: Sequence[Slot], last: bool) -> None:
        """Update the seconds of the summary and its history, so that they can be read before the end.

        Args:
            now: seconds of a monotonic clock.
            slots: the replicas that are there now.
            last: whether every shard is done, so that the history takes its last point.
        """
        loaded = sum(slot.loaded for slot in slots)
        self.summary.replicas = max(self.summary.replicas, loaded)
        if self._answering_since_s is None and loaded:
            self._answering_since_s = now
        placed = (slot for slot in slots if slot.state is not ReplicaState.PENDING)
        self.summary.replica_s = self._replica_s_of_gone + sum(now - slot.placed_s for slot in placed)
        self.summary.wall_s = now - self._running_since_s
        self.summary.answering_s = now - (self._answering_since_s or now)
        tokens = self.summary.prompt_tokens + self.summary.completion_tokens
        self.summary.history.look(slots, self.finished_prompts(slots), tokens, last=last)

    def finished_prompts(self, slots: Iterable[Slot]) -> int:
        """Return the prompts answered so far, including those of unfinished shards as of the replicas' last report.

        Args:
            slots: the replicas that are there now; those that are lost were counted by `gone`.
        """
        return max(self.summary.prompts, self._answered_by_gone + sum(slot.finished_prompts for slot in slots))

    def finished(self, now: float, result: WorkResult) -> None:
        """Count a finished work item.

        Args:
            now: seconds of a monotonic clock.
            result: counters that the replica returned for it.
        """
        self.summary.add(result)
        self.summary.busy_s += result.seconds
        if self.summary.first_answer_s is None and result.prompts:
            self.summary.first_answer_s = now - self._began_s

    def gone(self, now: float, slot: Slot, loss: Loss) -> None:
        """Count the time and the answers of a replica that is lost.

        Args:
            now: seconds of a monotonic clock.
            slot: the replica, still in the state that it was lost in.
            loss: how it was lost.
        """
        self.summary.history.ended(slot.number, loss)
        if slot.state is not ReplicaState.PENDING:
            self._replica_s_of_gone += now - slot.placed_s
        self._answered_by_gone += slot.finished_prompts

    def event(self, now: float, message: str) -> None:
        """Add an event for the report.

        Args:
            now: seconds of a monotonic clock; the report has the seconds since `begin`, or since the pool was made.
            message: one line.
        """
        self.summary.events.append((round(now - self._began_s, 2), message))
