"""The replicas of a pool as Ray actors: creation, waiting, counters, removal.

Their answers are interpreted elsewhere; this module calls Ray, and finds replicas that take too long.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

from uniner_dist.completions.decisions import is_stuck
from uniner_dist.completions.placement import Placement
from uniner_dist.completions.replica import ReplicaSpec
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.work import ReplicaState
from uniner_dist.config.schema import PoolConfig
from uniner_dist.errors import PoolError
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout

#: Seconds between two requests of the replicas' counters, and of the cluster's size.
_LOOK_S = 1.0
#: Longest wait for an event before control returns to the caller.
_TICK_S = 0.2
#: Longest wait for replicas to turn to another run; one that is dead is found out when it gets a work item.
_MOVE_S = 10.0


class ReplicaSet:
    """Slots, each with its actor.

    Args:
        ray: the connected `ray` module.
        config: how many replicas, and how long one may take.
        spec: what every replica loads.
        env: environment of the replicas' processes, set before they import anything.
    """

    def __init__(self, ray: Any, config: PoolConfig, spec: ReplicaSpec, env: Mapping[str, str]) -> None:
        self._ray, self._config = ray, config
        self.placement = Placement(ray, config, spec, env)
        self.slots: list[Slot] = []
        self._numbers = itertools.count()
        self._wanted = 0
        self._next_look_s = 0.0
        self._placed_s = time.monotonic()

    @property
    def loaded(self) -> int:
        """Replicas whose engine is ready."""
        return sum(slot.loaded for slot in self.slots)

    def scale(self, now: float, open_shards: int, may_add: bool = True) -> None:
        """Ask for replicas up to the wanted number.

        Args:
            now: seconds of a monotonic clock.
            open_shards: shards that are not finished; more replicas than these would be idle.
            may_add: False while the pool waits after failures.
        """
        if now >= self._next_look_s:
            self._wanted = self.placement.wanted(open_shards)
        while may_add and len(self.slots) < self._wanted:
            actor = self.placement.create(slot.node for slot in self.slots)
            # Requested together: a replica loads as soon as it is placed, whether or not it is polled.
            asked = {"placement_ref": actor.placement_info.remote(), "start_ref": actor.start.remote()}
            self.slots.append(Slot(next(self._numbers), actor, created_s=now, **asked))

    def wait(self) -> list[tuple[Slot, Any]]:
        """Wait, for at most 0.2 s, until a replica has answered something.

        Returns:
            The slots and references that have an answer or an error, which is not read yet; may be empty.
        """
        waiting = {reference: slot for slot in self.slots for reference in slot.references()}
        if not waiting:
            time.sleep(_TICK_S)
            return []
        done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=_TICK_S, fetch_local=False)
        if done:
            done, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0, fetch_local=False)
        return [(waiting[reference], reference) for reference in done]

    def overdue(self, now: float) -> Iterator[tuple[Slot, TimeoutError]]:
        """Yield replicas that load for too long, or have work and make no progress for too long.

        Args:
            now: seconds of a monotonic clock.

        Yields:
            A slot, and an error that says for how long; the caller may remove the slot.
        """
        config = self._config
        for slot in list(self.slots):
            loading = slot.state is ReplicaState.STARTING
            if loading and now - slot.created_s > config.start_timeout_s:
                yield slot, TimeoutError(f"start-up took longer than {config.start_timeout_s:g} s")
            elif is_stuck(now, slot.last_progress_s, config.stuck_timeout_s, bool(slot.held)):
                yield slot, TimeoutError(f"no new token for {config.stuck_timeout_s:g} s")

    def ask_progress(self, now: float) -> None:
        """Ask loaded replicas for their counters, when the last time is a second ago.

        Args:
            now: seconds of a monotonic clock.
        """
        if now < self._next_look_s:
            return
        self._next_look_s = now + _LOOK_S
        for slot in self.slots:
            if slot.progress_ref is None and slot.loaded:
                slot.progress_ref = slot.actor.progress.remote()

    def check_room(self, now: float) -> None:
        """Give up when no node had room for a single replica for `pool.start_timeout_s`.

        Args:
            now: seconds of a monotonic clock.

        Raises:
            PoolError: there was no room for that long.
        """
        if not self.slots or any(slot.state is not ReplicaState.PENDING for slot in self.slots):
            self._placed_s = now
        elif now - self._placed_s > self._config.start_timeout_s:
            config, have = self._config, self._ray.cluster_resources()
            raise PoolError(
                f"no replica found room for {config.start_timeout_s:g} s: one needs {config.gpus_per_replica} GPUs or "
                f"{config.cpus_per_replica:g} CPU cores on one node; the cluster has {have.get('GPU', 0):g} GPUs and "
                f"{have.get('CPU', 0):g} cores in all"
            )

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Switch to another run; replicas that still hold work items of an earlier one are killed.

        Args:
            layout: folders of the run whose shards are completed next.
            store: folders of the store that gets its answers.
        """
        for slot in [slot for slot in self.slots if slot.held]:
            self.remove(slot)
        self.placement.begin(layout, store)
        moves = [(slot, slot.actor.begin.remote(layout, store)) for slot in self.slots]
        # One that still loads does this meanwhile, long before it gets a work item.
        ready = [move for slot, move in moves if slot.state is ReplicaState.READY]
        if ready:
            self._ray.wait(ready, num_returns=len(ready), timeout=_MOVE_S)
        now = self._placed_s = time.monotonic()
        for slot in self.slots:
            slot.progress_ref, slot.finished_prompts, slot.counters, slot.placed_s = None, 0, (0, 0), now

    def remove(self, slot: Slot) -> None:
        """Kill a replica, dead or alive; its engine's processes end with it.

        Args:
            slot: the replica, which becomes `DEAD` and leaves `slots`.
        """
        slot.state = ReplicaState.DEAD
        self.slots.remove(slot)
        self._ray.kill(slot.actor, no_restart=True)

    def remove_all(self, reachable: bool) -> None:
        """Kill every replica.

        Args:
            reachable: whether the cluster still answers; if not, the replicas are only forgotten.
        """
        for slot in list(self.slots) if reachable else ():
            self.remove(slot)
        self.slots.clear()
