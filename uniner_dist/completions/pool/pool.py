"""Supervisor of the replicas of one completions stage: the loop that feeds them until every shard has its file.

The pool holds shard ids and counters, never prompts or answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Set
from typing import Any

from uniner_dist.cluster.watch import check_cluster, cluster_is_lost
from uniner_dist.completions.failure_tracker import FailureTracker
from uniner_dist.completions.pool.feeding import hand_out
from uniner_dist.completions.pool.replica_set import ReplicaSet
from uniner_dist.completions.pool.settling import Settling
from uniner_dist.completions.queue import Limits, WorkQueue
from uniner_dist.completions.replica import ReplicaSpec
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.stats import PoolStats
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import ReplicaState, WorkItem
from uniner_dist.config.schema import PoolConfig
from uniner_dist.errors import DrainedError
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout


class Pool:
    """As many replicas as asked or as the cluster fits; they join, die and are replaced while work is done.

    Args:
        ray: the connected `ray` module.
        config: how many replicas, and which failures and delays are tolerated.
        spec: what every replica loads.
        env: environment of the replicas' processes, set before they import anything.
        should_stop: asked about five times a second; True drains the pool.
    """

    def __init__(
        self,
        ray: Any,
        config: PoolConfig,
        spec: ReplicaSpec,
        env: Mapping[str, str],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ray, self._config = ray, config
        self._replicas = ReplicaSet(ray, config, spec, env)
        self._should_stop = should_stop
        #: Called with the pool about five times a second.
        self.on_change: Callable[[Pool], None] = lambda pool: None
        self._failures = FailureTracker(config)
        self._stats = PoolStats(time.monotonic())
        self._use(WorkQueue({}, Limits()), answered_before=False)

    def warm_up(self) -> None:
        """Ask for the replicas now; they load while the caller still prepares work."""
        self._scale(time.monotonic())

    def run(
        self,
        shards: Mapping[str, int],
        known: Set[str] = frozenset(),
        answered_before: bool = False,
        replica_s: float = math.inf,
    ) -> PoolSummary:
        """Complete shards: hand them to replicas and replace those that are lost, until every shard has its file.

        Args:
            shards: shard name → number of prompts, in the order in which they are handed out.
            known: names of shards of which some answers are kept already, so that only their other prompts are asked.
            answered_before: whether an earlier start of this run answered anything, so that engines are known to work.
            replica_s: when replicas have taken this many seconds in all, no more shards are handed out, and those in
                flight are the last (`queue.open` says how many are left).

        Returns:
            Counters and events, from the start of the pool or the last `begin` on.

        Raises:
            PoolError: no replica can start or answer, or a shard used up its attempts.
            StageError: storage keeps failing, or the cluster is gone.
            DrainedError: `should_stop` said so, and shards are open; what was committed stays.
        """
        self._use(WorkQueue(shards, _limits(self._config), known), answered_before)
        self._stats.run(time.monotonic(), len(shards))
        while self.queue.open:
            if self._should_stop():
                self._drain()
                break
            check_cluster()
            now = time.monotonic()
            self._update_clock(now)
            if self.summary.replica_s < replica_s:
                self._scale(now)
                self._feed(now)
            elif not self.in_flight:
                self._stats.event(now, f"limit of {replica_s:.0f} replica seconds reached")
                break
            self._collect()
            self._watch(time.monotonic())
            self.on_change(self)
        self._update_clock(time.monotonic())
        return self.summary

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Turn a pool that stays loaded to another run of the same fingerprint: its folders, and counters from zero.

        Replicas that still hold work items of an earlier run, which was interrupted, are killed.

        Args:
            layout: folders of the run whose shards are completed next.
            store: folders of the store that gets its answers.
        """
        self._replicas.begin(layout, store)
        self._stats.begin(time.monotonic())

    def close(self) -> None:
        """Kill every replica; their engine processes end with them."""
        self._replicas.remove_all(reachable=not cluster_is_lost())

    @property
    def slots(self) -> list[Slot]:
        """The replicas as the pool sees them."""
        return self._replicas.slots

    def count(self, state: ReplicaState) -> int:
        """Return the number of replicas in a state.

        Args:
            state: which one; none are ever `DEAD` here, as those are taken out.
        """
        return sum(slot.state is state for slot in self.slots)

    @property
    def in_flight(self) -> int:
        """Work items that replicas hold."""
        return sum(len(slot.held) for slot in self.slots)

    @property
    def finished_prompts(self) -> int:
        """Prompts answered, including those of unfinished shards as of the replicas' last report."""
        return self._stats.finished_prompts(self.slots)

    @property
    def summary(self) -> PoolSummary:
        """Counters and events of the run, as of their last update."""
        return self._stats.summary

    # -- steps of the loop ---------------------------------------------------------------------------------------

    def _use(self, queue: WorkQueue, answered_before: bool) -> None:
        self.queue = queue
        self._settling = Settling(self._ray, self._replicas, self._stats, self._failures, queue, answered_before)

    def _scale(self, now: float) -> None:
        self._replicas.scale(now, self.queue.open, may_add=now >= self._failures.replace_at_s)

    def _feed(self, now: float) -> None:
        if now < self._failures.feed_at_s:
            return
        for slot, item in hand_out(self.slots, self.queue, self._config.shards_in_flight):
            self._send(slot, item, now)

    def _send(self, slot: Slot, item: WorkItem, now: float) -> None:
        if item.merge:
            shard = item.shard
            reference = slot.actor.merge.remote(item, self.queue.ranges(shard), self.queue.poison_prompts(shard))
        else:
            reference = slot.actor.complete.remote(item)
        if not slot.held:
            slot.last_progress_s = now
        slot.held[reference] = item
        slot.state = ReplicaState.BUSY

    def _collect(self) -> None:
        """Wait for something to happen, then deal with everything that did."""
        for slot, reference in self._replicas.wait():
            self._settling.settle(slot, reference)

    def _watch(self, now: float) -> None:
        """Ask for counters now and then; a replica that loads or makes no progress for too long counts as dead."""
        for slot, error in self._replicas.overdue(now):
            self._settling.lost(slot, error)
        self._replicas.check_room(now)
        self._replicas.ask_progress(now)

    def _update_clock(self, now: float) -> None:
        self._stats.update_clock(now, self.slots, last=not self.queue.open)

    def _drain(self) -> None:
        """Let shards in flight finish for a while, hand out no more, then leave unless they were the last ones."""
        self._stats.event(time.monotonic(), "draining")
        deadline = time.monotonic() + self._config.drain_timeout_s
        while any(slot.held for slot in self.slots) and time.monotonic() < deadline:
            self._collect()
            self._watch(time.monotonic())
            self._update_clock(time.monotonic())
            self.on_change(self)
        if self.queue.open:
            raise DrainedError(
                f"stopped on request with {self.queue.open} shards open; the same command resumes where this one ended"
            )


def _limits(config: PoolConfig) -> Limits:
    return Limits(config.suspect_after, config.max_kills, config.max_shard_attempts, config.max_shard_killers)
