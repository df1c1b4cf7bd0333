"""Counters of one completions stage. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from uniner_dist.completions.history import History
from uniner_dist.completions.replica.protocol import WorkResult


@dataclass
class PoolSummary:
    """Counters of one completions stage, and its events in order (seconds since its start, words)."""

    shards: int = 0
    prompts: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    start_failures: int = 0
    work_failures: int = 0  # work items that failed while their engine was well: storage, mostly
    replicas: int = 0  # most that were ready at one time
    first_answer_s: float | None = None
    busy_s: float = 0.0
    wall_s: float = 0.0
    answering_s: float = 0.0  # part of `wall_s` since the first replica was ready
    engines: list[str] = field(default_factory=list)  # versions that replicas reported
    replica_s: float = 0.0  # seconds that replicas were placed, loading included, over all of them
    events: list[tuple[float, str]] = field(default_factory=list)
    history: History = field(default_factory=History)

    def add(self, result: WorkResult) -> None:
        """Count one finished work item.

        Args:
            result: its counters; prompts, tokens and failures are added, its seconds are not.
        """
        self.prompts += result.prompts
        self.prompt_tokens += result.prompt_tokens
        self.cached_tokens += result.cached_tokens
        self.completion_tokens += result.completion_tokens
        for kind, count in result.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + count
