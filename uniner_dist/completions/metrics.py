"""Metrics of the completions stage for Prometheus, exported by Ray: every node's agent serves them over HTTP.

Ray puts `ray_` in front of the names below. They are documented in docs/metrics.md and used by conf/grafana/.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import ReplicaState
from uniner_dist.storage.control_files import PoolProgress

#: Seconds between two updates; Ray itself exports values about every 10 s.
_UPDATE_S: Final = 5.0
_PREFIX: Final = "uniner_dist_"

#: Name without prefix → meaning. Values go up and down.
GAUGES: Final[Mapping[str, str]] = {
    "prompts": "Prompts of the run's completions stage.",
    "prompts_open": "Prompts that have no answer yet.",
    "shards": "Shards of the run.",
    "shards_open": "Shards that are not committed and may be asked.",
    "replicas": "Replicas by state: pending, starting, ready, busy.",
    "prefix_hit_ratio": "Part of the prompt tokens that came from the prefix cache, since the start.",
    "gpu_hours": "GPU hours that the run has taken so far, earlier starts included.",
    "last_progress_timestamp_seconds": "When a prompt was last answered, or the start of the stage.",
}
#: Name without prefix and `_total` → meaning. Values count from the start of the command.
COUNTERS: Final[Mapping[str, str]] = {
    "prompts_answered": "Prompts answered.",
    "prompt_tokens": "Tokens of answered prompts.",
    "cached_tokens": "Tokens of answered prompts that came from the prefix cache.",
    "completion_tokens": "Tokens of answers.",
    "prompts_failed": "Prompts without an answer, by outcome.",
    "replica_deaths": "Replicas that died after they had loaded.",
    "replica_start_failures": "Replicas that could not load.",
}
#: Label next to `run`.
LABELS: Final[Mapping[str, str]] = {"replicas": "state", "prompts_failed": "outcome"}


class PoolMetrics:
    """Updates the metrics of one start.

    Args:
        run_id: value of the label `run`.
    """

    def __init__(self, run_id: str) -> None:
        from ray.util import metrics

        def make(kind: Any, name: str, meaning: str) -> Any:
            keys = ("run", LABELS[name]) if name in LABELS else ("run",)
            made = kind(f"{_PREFIX}{name}", meaning, keys)
            made.set_default_tags({"run": run_id})
            return made

        self._gauges = {name: make(metrics.Gauge, name, meaning) for name, meaning in GAUGES.items()}
        # Ray itself appends `_total` to the names of counters.
        self._counters = {name: make(metrics.Counter, name, meaning) for name, meaning in COUNTERS.items()}
        self._counted: dict[tuple[str, str], float] = {}
        self._next_s = 0.0
        self._last_progress = time.time()

    def due(self) -> bool:
        """Return whether it is time for `update`: at first, and then every 5 s."""
        return time.monotonic() >= self._next_s

    def update(self, state: PoolProgress, summary: PoolSummary, answered: int) -> None:
        """Set the metrics to the present values.

        Args:
            state: as `Snapshots.of` gives it.
            summary: counters of the pool so far.
            answered: prompts answered so far, those of unfinished shards included.
        """
        self._next_s = time.monotonic() + _UPDATE_S
        if answered > self._counted.get(("prompts_answered", ""), 0):
            self._last_progress = time.time()
        gauges = self._gauges
        gauges["prompts"].set(state.prompts)
        gauges["prompts_open"].set(state.prompts - state.prompts_done)
        gauges["shards"].set(state.shards or 0)
        gauges["shards_open"].set(state.shards_open)
        gauges["prefix_hit_ratio"].set(state.prefix_hit_rate)
        gauges["gpu_hours"].set(state.gpu_hours or 0.0)
        gauges["last_progress_timestamp_seconds"].set(self._last_progress)
        for name in (one.value for one in ReplicaState if one is not ReplicaState.DEAD):
            gauges["replicas"].set(state.replicas.get(name, 0), tags={"state": name})
        self._count("prompts_answered", answered)
        self._count("prompt_tokens", summary.prompt_tokens)
        self._count("cached_tokens", summary.cached_tokens)
        self._count("completion_tokens", summary.completion_tokens)
        self._count("replica_deaths", summary.deaths)
        self._count("replica_start_failures", summary.start_failures)
        for outcome, count in summary.failures.items():
            self._count("prompts_failed", count, outcome)

    def _count(self, name: str, total: float, value: str = "") -> None:
        more = total - self._counted.get((name, value), 0)
        if more > 0:
            self._counted[name, value] = total
            self._counters[name].inc(more, tags={LABELS[name]: value} if value else None)
