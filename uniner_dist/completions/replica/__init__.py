"""A replica: one engine on its GPUs, in a Ray actor of its own, that turns prompts shards into completions files."""

from __future__ import annotations

from uniner_dist.completions.replica.actor import Replica
from uniner_dist.completions.replica.protocol import EngineDiedError, ReplicaSpec, WorkResult

__all__ = ["EngineDiedError", "Replica", "ReplicaSpec", "WorkResult"]
