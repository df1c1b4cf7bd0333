"""Values that the pool and its replicas share: shards, work items, states of a replica, and kinds of loss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReplicaState(StrEnum):
    """What a replica is doing; quarantine is a state of nodes, see `NodeHealth`."""

    PENDING = "pending"  # asked for, not placed on a node yet
    STARTING = "starting"  # placed, loading its model
    READY = "ready"  # loaded, nothing to do
    BUSY = "busy"  # answering
    DEAD = "dead"


class Loss(StrEnum):
    """Why a replica is lost, which decides what is blamed."""

    NODE = "node"  # its node went away: nobody's fault
    START = "start"  # it never loaded: the engine's or the node's fault
    DEATH = "death"  # it died after it had loaded: perhaps the fault of a prompt


@dataclass(frozen=True)
class Shard:
    """A shard as the manifest has it.

    Attributes:
        asked: prompts without an answer in the store that are not skipped.
        estimated_tokens: of those that are asked.
        skipped: prompts that triage has left out.
    """

    name: str
    prompts: int
    asked: int
    estimated_tokens: int
    skipped: int = 0


@dataclass(frozen=True)
class WorkItem:
    """Prompts `[start, stop)` of a shard; `stop` None means the whole shard.

    A work item that is `alone` runs on a replica that has nothing else in flight, so that a death can be blamed on it.
    """

    shard: str
    start: int = 0
    stop: int | None = None
    merge: bool = False  # assemble the finished ranges of a suspect shard into its completions file
    known: bool = False  # answers of an earlier file are kept; only the rest is asked

    @property
    def alone(self) -> bool:
        """Whether it must not share a replica."""
        return self.stop is not None
