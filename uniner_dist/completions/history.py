"""History of one completions stage: throughput over time, and the life of each replica. Values only; no I/O.

Kept small however long the stage takes: when there are too many points every second one is dropped and the next ones
are taken half as often, and replicas beyond a number are only counted. It is part of the counters that every start
writes to storage, so it survives crashes, and the report puts the starts together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from uniner_dist.completions.work import Loss, ReplicaState

_MAX_POINTS: Final = 240
_MAX_REPLICAS: Final = 400
#: Names of the values of a point of `History.points`, in order.
POINT: Final = ("s", "prompts", "tokens", "ready", "loading")


@dataclass
class ReplicaLife:
    """One replica, in seconds since its history began.

    Attributes:
        ready_s: None while it loads.
        ended_s: None while it is there.
        end: how it was lost.
    """

    number: int
    node: str
    placed_s: float
    ready_s: float | None = None
    ended_s: float | None = None
    end: str | None = None


@dataclass
class History:
    """Points and lives, in seconds since `began_at` (seconds since the epoch)."""

    began_at: float = field(default_factory=time.time)
    step_s: float = 1.0  # least time between two points
    points: list[list[float]] = field(default_factory=list)  # see POINT; counters are totals since the beginning
    replicas: list[ReplicaLife] = field(default_factory=list)
    replicas_left_out: int = 0  # at least

    def look(self, slots: Sequence[Any], prompts: int, tokens: int, last: bool = False) -> None:
        """Record changes of the replicas, and a point when one is due.

        Args:
            slots: the pool's `Slot`s.
            prompts: answered so far.
            tokens: of the prompts and answers of all finished work items so far.
            last: take a point in any case.
        """
        now = round(time.time() - self.began_at, 2)
        known = {life.number: life for life in self.replicas}
        for slot in slots:
            if slot.state is ReplicaState.PENDING:
                continue
            life = known.get(slot.number) or self._begin(slot, now)
            if life.ready_s is None and slot.state in (ReplicaState.READY, ReplicaState.BUSY):
                life.ready_s = now
        if last or not self.points or now >= self.points[-1][0] + self.step_s:
            ready = sum(slot.state in (ReplicaState.READY, ReplicaState.BUSY) for slot in slots)
            loading = sum(slot.state is ReplicaState.STARTING for slot in slots)
            self.points.append([now, prompts, tokens, ready, loading])
            if len(self.points) > _MAX_POINTS:
                self.points = self.points[::2]
                self.step_s *= 2

    def ended(self, number: int, loss: Loss) -> None:
        """Record the end of a replica; nothing for one that was never placed or is not in the history.

        Args:
            number: `Slot.number` of the replica.
            loss: how it was lost.
        """
        for life in self.replicas:
            if life.number == number and life.ended_s is None:
                life.ended_s, life.end = round(time.time() - self.began_at, 2), loss.value

    def _begin(self, slot: Any, now: float) -> ReplicaLife:
        life = ReplicaLife(slot.number, slot.node[:8], round(now - (time.monotonic() - slot.placed_s), 2))
        if len(self.replicas) < _MAX_REPLICAS:
            self.replicas.append(life)
        else:
            self.replicas_left_out = max(self.replicas_left_out, slot.number + 1 - _MAX_REPLICAS)
        return life
