"""What each answer of a replica means, and what a missing one means: statistics are updated, and losses are blamed.

What a death means for the queue is decided by `queue`, which nodes to avoid by `node_health`, and how many failures in
a row are tolerated by `failure_tracker`; here those decisions are carried out.
"""

from __future__ import annotations

import time
from typing import Any

from uniner_dist.completions.decisions import kind_of_loss
from uniner_dist.completions.failure_tracker import FailureTracker
from uniner_dist.completions.pool.replica_set import ReplicaSet
from uniner_dist.completions.queue import WorkQueue
from uniner_dist.completions.replica import EngineDiedError, WorkResult
from uniner_dist.completions.replica.protocol import PlacementInfo, StartInfo
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.stats import PoolStats
from uniner_dist.completions.work import Loss, ReplicaState, WorkItem


class Settling:
    """Passes answers and losses on to queue, statistics and failure tracker.

    Args:
        ray: the connected `ray` module.
        replicas: from which lost replicas are removed.
        stats: counts what is answered, and has the events.
        failures: counts failures in a row, and raises when the job is to be given up.
        queue: of the run at work.
        answered_before: whether an earlier start of this run answered anything, so that engines are known to work.
    """

    def __init__(
        self,
        ray: Any,
        replicas: ReplicaSet,
        stats: PoolStats,
        failures: FailureTracker,
        queue: WorkQueue,
        answered_before: bool,
    ) -> None:
        self._ray, self._replicas, self._stats, self._failures = ray, replicas, stats, failures
        self._queue, self._answered_before = queue, answered_before

    def settle(self, slot: Slot, reference: Any) -> None:
        """Read the answer or the error of a reference, and act on it; nothing for a replica that is already lost.

        Args:
            slot: the replica that was called.
            reference: one of `slot.references()`, as returned by `ReplicaSet.wait`.

        Raises:
            PoolError: no replica can start or answer, or a shard used up its attempts.
            StageError: a shard failed too often while its engine worked: storage, mostly.
        """
        if slot.state is ReplicaState.DEAD:
            return
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if reference in slot.held and self._is_recoverable(error):
                self._failed(slot, reference, error)
            else:
                self.lost(slot, error)
            return
        if reference == slot.placement_ref:
            self._placed(slot, answer)
        elif reference == slot.start_ref:
            self._started(slot, answer)
        elif reference == slot.progress_ref:
            self._progressed(slot, answer)
        else:
            self._finished(slot, reference, answer)

    def lost(self, slot: Slot, error: Exception) -> None:
        """Remove a replica that is gone or useless, decide about its work items, and set when it is replaced.

        Args:
            slot: the replica, still in the state that it was lost in.
            error: Ray's error of a call, or a timeout; its message is shown.

        Raises:
            PoolError: no replica can start or answer, or a shard used up its attempts.
        """
        placement = self._replicas.placement
        loss = kind_of_loss(placement.is_gone(slot.node), slot.state)
        self._stats.gone(time.monotonic(), slot, loss)
        self._replicas.remove(slot)
        avoided = placement.health.quarantined
        if loss is Loss.NODE:
            self._event(f"replica {slot.number} lost with its node")
            self._queue.requeue(slot.held.values())
        elif loss is Loss.START:
            self._start_failed(slot, format_error(error))
        else:
            self._died(slot, format_error(error))
        for node in placement.health.quarantined - avoided:
            self._event(f"node {node[:8]} is avoided from now on: replicas failed there again and again")

    # -- answers -------------------------------------------------------------------------------------------------

    def _placed(self, slot: Slot, answer: PlacementInfo) -> None:
        slot.placement_ref, slot.node, slot.pid = None, answer.node, answer.pid
        slot.state = ReplicaState.STARTING
        slot.created_s = slot.placed_s = time.monotonic()
        self._replicas.placement.placed(slot.node)

    def _started(self, slot: Slot, answer: StartInfo) -> None:
        slot.start_ref, slot.state, slot.last_progress_s = None, ReplicaState.READY, time.monotonic()
        self._failures.started()
        self._replicas.placement.health.started(slot.node)
        engines = self._stats.summary.engines
        if answer.engine not in engines:
            engines.append(answer.engine)
        self._event(f"replica {slot.number} ready after {answer.seconds:.1f} s")
        if answer.warning:
            self._event(f"replica {slot.number}: {answer.warning}")

    def _progressed(self, slot: Slot, answer: dict[str, int]) -> None:
        counters = answer["finished_prompts"], answer["tokens"]
        slot.progress_ref, slot.finished_prompts = None, answer["finished_prompts"]
        if counters != slot.counters:
            slot.counters, slot.last_progress_s = counters, time.monotonic()

    def _finished(self, slot: Slot, reference: Any, result: WorkResult) -> None:
        self._queue.done(slot.held.pop(reference))
        now = time.monotonic()
        self._stats.finished(now, result)
        self._failures.worked()
        self._replicas.placement.health.worked(slot.node)
        slot.last_progress_s = now
        if not slot.held:
            slot.state = ReplicaState.READY

    # -- failures ------------------------------------------------------------------------------------------------

    def _is_recoverable(self, error: Exception) -> bool:
        """Whether an error came from around the engine (reading, writing), and the replica can go on."""
        return isinstance(error, self._ray.exceptions.RayTaskError) and not isinstance(error.cause, EngineDiedError)

    def _failed(self, slot: Slot, reference: Any, error: Exception) -> None:
        """A work item failed on a replica that still works: nothing is suspect; retry after a delay, a few times."""
        item, message = slot.held.pop(reference), format_error(error)
        if not slot.held:
            slot.state = ReplicaState.READY
        self._stats.summary.work_failures += 1
        failures = self._queue.failed(item)
        self._event(f"replica {slot.number} could not do {_name(item)}: {message}")
        self._failures.work_failed(time.monotonic(), item, failures, message)

    def _start_failed(self, slot: Slot, message: str) -> None:
        self._stats.summary.start_failures += 1
        self._replicas.placement.health.start_failed(slot.node)
        self._event(f"replica {slot.number} failed to start: {message}")
        self._failures.start_failed(time.monotonic(), self._replicas.loaded, message)

    def _died(self, slot: Slot, message: str) -> None:
        held = list(slot.held.values())
        self._stats.summary.deaths += 1
        self._replicas.placement.health.died(slot.node, held)
        names = ", ".join(_name(item) for item in held) or "nothing"
        self._event(f"replica {slot.number} died holding {names}: {message}")
        reasons = self._queue.died(held)
        answered = self._answered_before or self._stats.finished_prompts(self._replicas.slots) > 0
        self._failures.died(time.monotonic(), held, reasons, answered, message)

    def _event(self, message: str) -> None:
        self._stats.event(time.monotonic(), message)


def _name(item: WorkItem) -> str:
    return item.shard if item.stop is None else f"{item.shard}[{item.start}:{item.stop}]"


def format_error(error: Exception) -> str:
    """Return the innermost message of what Ray wraps around a replica's exception.

    Args:
        error: Ray's, or any other; one without a message gives the name of its type.
    """
    cause: BaseException = getattr(error, "cause", None) or error
    return str(cause).strip() or type(error).__name__
