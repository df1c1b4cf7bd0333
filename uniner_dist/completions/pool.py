"""The pool: as many replicas as asked or as the cluster fits, fed with works until every shard has its file.

Enters: a run whose prompts stage is done. Leaves: one committed completions file per shard and a summary of counters.
The pool holds shard ids and counters, never prompts or answers. What a death or a failed start-up means is decided by
`policy` and how long to put up with it by `patience`; here those decisions are carried out with Ray.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Set
from typing import Any

from uniner_dist.cluster.connect import check_cluster, cluster_is_lost
from uniner_dist.completions.failure_tracker import Patience
from uniner_dist.completions.placement import Placement
from uniner_dist.completions.queue import Limits, Loss, ReplicaState, Work, WorkQueue, is_stuck, kind_of_loss
from uniner_dist.completions.replica import EngineDiedError, ReplicaSpec, WorkResult
from uniner_dist.completions.state import PoolSummary, Slot
from uniner_dist.completions.stats import LOADED, Ledger
from uniner_dist.config.schema import PoolConfig
from uniner_dist.errors import DrainedError, PoolError
from uniner_dist.storage.layout import RunLayout, StoreLayout

#: Seconds between looks at the replicas' counters and the cluster's size.
_PULSE_S = 1.0
#: Longest wait for an event before the loop looks around.
_TICK_S = 0.2
#: Longest wait for replicas to turn to another run; one that is dead is found out when it gets a work.
_MOVE_S = 10.0


class Pool:
    """Supervisor of the replicas of one completions stage.

    Args:
        ray: the connected `ray` module.
        config: how many replicas, and how long to put up with what.
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
        self._placement = Placement(ray, config, spec, env)
        self._should_stop = should_stop
        #: Called with the pool about five times a second.
        self.on_change: Callable[[Pool], None] = lambda pool: None
        self._numbers = itertools.count()
        self._patience = Patience(config)
        self._answered_before = False
        self._placed_s = time.monotonic()
        self._next_pulse_s = 0.0
        self._wanted = 0
        self._ledger = Ledger(time.monotonic())
        self.slots: list[Slot] = []
        self.queue = WorkQueue({}, Limits())

    # -- the loop ------------------------------------------------------------------------------------------------

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
        """Complete these shards (id → number of prompts); of the `known` ones some answers are kept already.

        Args:
            answered_before: whether an earlier start of this run answered anything, so that engines are known to work.
            replica_s: when replicas have taken so many seconds in all, no more shards are handed out, and those in
                flight are the last (`queue.open` says how many are left).

        Raises:
            PoolError: no replica can start or answer, or a shard used up its attempts.
            StageError: storage keeps failing, or the cluster is gone.
            DrainedError: `should_stop` said so; what was committed stays.
        """
        config = self._config
        limits = Limits(config.suspect_after, config.max_kills, config.max_shard_attempts, config.max_shard_killers)
        self.queue = WorkQueue(shards, limits, known)
        self._answered_before = answered_before
        self._ledger.run(time.monotonic(), len(shards))
        while self.queue.open:
            if self._should_stop():
                self._drain()
            check_cluster()
            now = time.monotonic()
            self._tell_time(now)
            if self.summary.replica_s < replica_s:
                self._scale(now)
                self._feed(now)
            elif not self.in_flight:
                self._event(f"limit of {replica_s:.0f} replica seconds reached")
                break
            self._collect()
            self._watch(time.monotonic())
            self.on_change(self)
        self._tell_time(time.monotonic())
        return self.summary

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Turn a pool that stays warm to another run of the same fingerprint: its folders, and counters from zero.

        Replicas that still hold works of an earlier run, which was left in the middle, are killed.
        """
        for slot in [slot for slot in self.slots if slot.works]:
            self._ray.kill(slot.actor, no_restart=True)
            self.slots.remove(slot)
        self._placement.begin(layout, store)
        moves = [(slot, slot.actor.begin.remote(layout, store)) for slot in self.slots]
        # One that still loads does this beside it, long before it gets a work.
        ready = [move for slot, move in moves if slot.state is ReplicaState.READY]
        if ready:
            self._ray.wait(ready, num_returns=len(ready), timeout=_MOVE_S)
        now = time.monotonic()
        for slot in self.slots:
            slot.pulse, slot.finished_prompts, slot.counters, slot.placed_s = None, 0, (0, 0), now
        self._ledger.begin(now)

    def close(self) -> None:
        """Kill every replica; their engine processes end with them."""
        if not cluster_is_lost():
            for slot in self.slots:
                self._ray.kill(slot.actor, no_restart=True)
        self.slots.clear()

    def count(self, state: ReplicaState) -> int:
        """Replicas in a state."""
        return sum(slot.state is state for slot in self.slots)

    @property
    def in_flight(self) -> int:
        """Works that replicas hold."""
        return sum(len(slot.works) for slot in self.slots)

    @property
    def finished_prompts(self) -> int:
        """Prompts answered, those of unfinished shards included as far as the last pulse told."""
        return self._ledger.finished_prompts(self.slots)

    @property
    def summary(self) -> PoolSummary:
        """Counters and events of the run, as of the last look."""
        return self._ledger.summary

    # -- replicas ------------------------------------------------------------------------------------------------

    def _scale(self, now: float) -> None:
        """Ask for replicas up to the wanted number, waiting after failures."""
        if now >= self._next_pulse_s:
            self._wanted = self._placement.wanted(self.queue.open)
        if now < self._patience.replace_at_s:
            return
        while len(self.slots) < self._wanted:
            actor = self._placement.create(slot.node for slot in self.slots)
            # Asked for in one go: a replica loads as soon as it is placed, whether or not anybody looks.
            asked = {"placing": actor.where.remote(), "starting": actor.start.remote()}
            self.slots.append(Slot(next(self._numbers), actor, created_s=now, **asked))

    def _placed(self, slot: Slot, answer: dict[str, Any]) -> None:
        slot.placing, slot.node, slot.pid, slot.state = None, answer["node"], answer["pid"], ReplicaState.STARTING
        slot.created_s = slot.placed_s = time.monotonic()

    def _started(self, slot: Slot, answer: dict[str, Any]) -> None:
        slot.starting, slot.state, slot.last_progress_s = None, ReplicaState.READY, time.monotonic()
        self._patience.started()
        self._placement.health.started(slot.node)
        self.summary.replicas = max(self.summary.replicas, self._ready())
        if answer["engine"] not in self.summary.engines:
            self.summary.engines.append(answer["engine"])
        self._event(f"replica {slot.number} ready after {answer['seconds']:.1f} s")
        if answer["warning"]:
            self._event(f"replica {slot.number}: {answer['warning']}")

    def _tell_time(self, now: float) -> None:
        self._ledger.tell_time(now, self.slots, last=not self.queue.open)

    def _ready(self) -> int:
        return sum(slot.state in LOADED for slot in self.slots)

    # -- works ---------------------------------------------------------------------------------------------------

    def _feed(self, now: float) -> None:
        """Give every loaded replica as many works as it may hold, the emptiest first.

        Nobody holds more than others could still get: towards the end a second one would wait while another is idle.
        """
        if now < self._patience.feed_at_s:
            return
        ready = [slot for slot in self.slots if slot.state in LOADED]
        # While suspect works wait, one replica is let run empty so that they get their turn alone.
        isolated = ready[0] if ready and self.queue.pending_alone else None
        for _ in range(self._config.shards_in_flight):
            for slot in sorted(ready, key=lambda slot: len(slot.works)):
                if slot.alone or len(slot.works) >= self._config.shards_in_flight:
                    continue
                if slot.works and (slot is isolated or not self.queue.lasts_for(len(ready) * len(slot.works))):
                    continue
                work = self.queue.take(idle=not slot.works)
                if work is not None:
                    self._send(slot, work, now)

    def _send(self, slot: Slot, work: Work, now: float) -> None:
        if work.merge:
            shard = work.shard
            reference = slot.actor.merge.remote(work, self.queue.ranges(shard), self.queue.killers(shard))
        else:
            reference = slot.actor.complete.remote(work)
        if not slot.works:
            slot.last_progress_s = now
        slot.works[reference] = work
        slot.state = ReplicaState.BUSY

    def _collect(self) -> None:
        """Wait for something to happen, then deal with everything that did."""
        waiting: dict[Any, Slot] = {}
        for slot in self.slots:
            # Where a replica is comes before anything else of it.
            for reference in [slot.placing] if slot.placing else [slot.starting, slot.pulse, *slot.works]:
                if reference is not None:
                    waiting[reference] = slot
        if not waiting:
            time.sleep(_TICK_S)
            return
        done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=_TICK_S, fetch_local=False)
        if done:
            done, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0, fetch_local=False)
        for reference in done:
            slot = waiting[reference]
            if slot.state is not ReplicaState.DEAD:
                self._settle(slot, reference)

    def _settle(self, slot: Slot, reference: Any) -> None:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if reference in slot.works and self._is_well(error):
                self._failed(slot, reference, error)
            else:
                self._lost(slot, error)
            return
        if reference == slot.placing:
            self._placed(slot, answer)
        elif reference == slot.starting:
            self._started(slot, answer)
        elif reference == slot.pulse:
            self._beat(slot, answer)
        else:
            self._finished(slot, reference, answer)

    def _finished(self, slot: Slot, reference: Any, result: WorkResult) -> None:
        work = slot.works.pop(reference)
        self.queue.done(work)
        now = time.monotonic()
        self._ledger.finished(now, result)
        self._patience.worked()
        self._placement.health.worked(slot.node)
        slot.last_progress_s = now
        if not slot.works:
            slot.state = ReplicaState.READY

    # -- trouble -------------------------------------------------------------------------------------------------

    def _is_well(self, error: Exception) -> bool:
        """Whether a work's error came from around the engine (reading, writing), and the replica can go on."""
        return isinstance(error, self._ray.exceptions.RayTaskError) and not isinstance(error.cause, EngineDiedError)

    def _failed(self, slot: Slot, reference: Any, error: Exception) -> None:
        """A work failed on a replica that is well: blame nobody, try it again after a while, a few times."""
        work, message = slot.works.pop(reference), _words(error)
        if not slot.works:
            slot.state = ReplicaState.READY
        self.summary.work_failures += 1
        failures = self.queue.failed(work)
        self._event(f"replica {slot.number} could not do {_name(work)}: {message}")
        self._patience.work_failed(time.monotonic(), work, failures, message)

    def _watch(self, now: float) -> None:
        """Ask for counters now and then; a replica that loads or stands still for too long counts as dead."""
        config = self._config
        for slot in list(self.slots):
            loading = slot.state is ReplicaState.STARTING
            if loading and now - slot.created_s > config.start_timeout_s:
                self._lost(slot, TimeoutError(f"start-up took longer than {config.start_timeout_s:g} s"))
            elif is_stuck(now, slot.last_progress_s, config.stuck_timeout_s, bool(slot.works)):
                self._lost(slot, TimeoutError(f"no new token for {config.stuck_timeout_s:g} s"))
        self._check_placement(now)
        if now < self._next_pulse_s:
            return
        self._next_pulse_s = now + _PULSE_S
        for slot in self.slots:
            if slot.pulse is None and slot.state in LOADED:
                slot.pulse = slot.actor.progress.remote()

    def _check_placement(self, now: float) -> None:
        """Give up when no node has room for a single replica for too long."""
        if not self.slots or any(slot.state is not ReplicaState.PENDING for slot in self.slots):
            self._placed_s = now
        elif now - self._placed_s > self._config.start_timeout_s:
            config, have = self._config, self._ray.cluster_resources()
            raise PoolError(
                f"no replica found room for {config.start_timeout_s:g} s: one needs {config.gpus_per_replica} GPUs or "
                f"{config.cpus_per_replica:g} CPU cores on one node; the cluster has {have.get('GPU', 0):g} GPUs and "
                f"{have.get('CPU', 0):g} cores in all"
            )

    def _beat(self, slot: Slot, counters: dict[str, int]) -> None:
        slot.pulse, slot.finished_prompts = None, counters["finished_prompts"]
        if (counters["finished_prompts"], counters["tokens"]) != slot.counters:
            slot.counters = counters["finished_prompts"], counters["tokens"]
            slot.last_progress_s = time.monotonic()

    def _lost(self, slot: Slot, error: Exception) -> None:
        """A replica is gone or useless: take it out, decide about its works, and wait before it is replaced."""
        loss = kind_of_loss(self._placement.is_gone(slot.node), slot.state)
        self._ledger.gone(time.monotonic(), slot, loss)
        slot.state = ReplicaState.DEAD
        self.slots.remove(slot)
        self._ray.kill(slot.actor, no_restart=True)
        avoided = self._placement.health.quarantined
        if loss is Loss.NODE:
            self._event(f"replica {slot.number} lost with its node")
            self.queue.give_back(slot.works.values())
        elif loss is Loss.START:
            self._start_failed(slot, _words(error))
        else:
            self._died(slot, _words(error))
        for node in self._placement.health.quarantined - avoided:
            self._event(f"node {node[:8]} is avoided from now on: replicas failed there again and again")

    def _start_failed(self, slot: Slot, message: str) -> None:
        self.summary.start_failures += 1
        self._placement.health.start_failed(slot.node)
        self._event(f"replica {slot.number} failed to start: {message}")
        self._patience.start_failed(time.monotonic(), self._ready(), message)

    def _died(self, slot: Slot, message: str) -> None:
        works = list(slot.works.values())
        self.summary.deaths += 1
        self._placement.health.died(slot.node, works)
        held = ", ".join(_name(work) for work in works) or "nothing"
        self._event(f"replica {slot.number} died holding {held}: {message}")
        reasons = self.queue.died(works)
        answered = self._answered_before or self.finished_prompts > 0
        self._patience.died(time.monotonic(), works, reasons, answered, message)

    def _drain(self) -> None:
        """Let shards in flight finish for a while, hand out no more, then leave."""
        self._event("draining")
        deadline = time.monotonic() + self._config.drain_timeout_s
        while any(slot.works for slot in self.slots) and time.monotonic() < deadline:
            self._collect()
            self._watch(time.monotonic())
            self._tell_time(time.monotonic())
            self.on_change(self)
        raise DrainedError(
            f"stopped on request with {self.queue.open} shards open; the same command goes on where this one ended"
        )

    def _event(self, words: str) -> None:
        self._ledger.event(time.monotonic(), words)


def _name(work: Work) -> str:
    return work.shard if work.stop is None else f"{work.shard}[{work.start}:{work.stop}]"


def _words(error: Exception) -> str:
    """The innermost message of what Ray wraps around a replica's exception."""
    cause: BaseException = getattr(error, "cause", None) or error
    return str(cause).strip() or type(error).__name__
