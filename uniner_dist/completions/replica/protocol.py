"""What passes between the pool and a replica: values only, none of which grows with the number of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uniner_dist.completions.engine import EngineSpec
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout


@dataclass(frozen=True)
class ReplicaSpec:
    """What a replica needs to know; picklable and small (the tokenizer's JSON is at most a few MB)."""

    engine: EngineSpec
    layout: RunLayout
    store: StoreLayout
    fingerprint: str
    template: str
    tokenizer_json: str
    max_in_flight: int
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the object store


@dataclass(frozen=True)
class PlacementInfo:
    """Where a replica is: the id of its Ray node, and host and process."""

    node: str
    host: str
    pid: int


@dataclass(frozen=True)
class StartInfo:
    """What a replica reports when it has loaded: how long that took, its engine's version, and a warning, if any."""

    seconds: float
    engine: str
    warning: str | None


@dataclass(frozen=True)
class WorkResult:
    """Counters of one finished work item."""

    prompts: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    failures: dict[str, int]
    seconds: float
    written: bool  # False: another writer had committed this shard before


class EngineDiedError(Exception):
    """The engine of this replica is dead; the message is the engine's own."""
