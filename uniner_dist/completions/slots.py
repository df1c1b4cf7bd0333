"""The pool's record of each replica. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from uniner_dist.completions.work import ReplicaState, WorkItem

#: States of a replica whose engine is loaded.
LOADED = (ReplicaState.READY, ReplicaState.BUSY)


@dataclass
class Slot:
    """One replica as the pool sees it. References are Ray's, to an answer that has not been read yet."""

    number: int
    actor: Any
    created_s: float
    placed_s: float = 0.0
    state: ReplicaState = ReplicaState.PENDING
    node: str = ""
    pid: int = 0
    placement_ref: Any = None  # of `placement_info`
    start_ref: Any = None  # of `start`
    progress_ref: Any = None  # of `progress`
    held: dict[Any, WorkItem] = field(default_factory=dict)  # reference -> work item
    finished_prompts: int = 0
    counters: tuple[int, int] = (0, 0)  # finished prompts and tokens, as `progress` last reported
    last_progress_s: float = 0.0

    @property
    def alone(self) -> bool:
        """Whether it holds a work item that must not be joined by another."""
        return any(item.alone for item in self.held.values())

    @property
    def loaded(self) -> bool:
        """Whether its engine is ready for work."""
        return self.state in LOADED

    def references(self) -> list[Any]:
        """Return the references to wait for; the placement of a replica comes before its other answers."""
        if self.placement_ref:
            return [self.placement_ref]
        return [ref for ref in (self.start_ref, self.progress_ref, *self.held) if ref is not None]
