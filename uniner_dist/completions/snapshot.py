"""Snapshots of a working pool for observers. No I/O."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from uniner_dist.completions.budget import gpu_hours
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.work import ReplicaState
from uniner_dist.config.schema import Config
from uniner_dist.storage.control_files import PoolProgress

#: Window of the mean rates, in seconds.
_WINDOW_S = 60.0


@dataclass(frozen=True)
class Totals:
    """Totals at the beginning of a start of the completions stage.

    Args:
        prompts: prompts that the whole stage asks.
        prompts_before: those of them in shards that were committed before.
        shards: shards of the whole stage.
        shards_before: those of them that were committed before.
        shards_to_do: those that this start may do.
        prompts_to_do: prompts that are asked in these.
        gpu_hours_before: spent by earlier starts.
    """

    prompts: int
    prompts_before: int
    shards: int
    shards_before: int
    shards_to_do: int
    prompts_to_do: int
    gpu_hours_before: float


class Observer(Protocol):
    """Observer of the stage while it works, such as a view on a screen."""

    def due(self) -> bool:
        """Return whether `show` would do anything now; asked about five times a second."""

    def show(self, state: PoolProgress, final: bool = False) -> None:
        """Take a state of the pool.

        Args:
            state: see `Snapshots.of`.
            final: whether it is the last one of this start, to be shown in any case.
        """


class Snapshots:
    """States of one start of the completions stage, with mean rates over the last minute.

    Args:
        totals: of the stage as this start found it.
        config: of the run; GPUs per replica and the price of a GPU hour turn seconds into hours and cost.
    """

    def __init__(self, totals: Totals, config: Config) -> None:
        self._totals, self._config = totals, config
        self._seen: deque[tuple[float, int, int]] = deque()

    def of(self, pool: Pool, now: float) -> PoolProgress:
        """Return the present state of a pool (`uniner_dist.reporting.progress` renders it).

        Args:
            pool: its counters, replicas and open work items are read; nothing of it is changed.
            now: seconds of a monotonic clock, not decreasing from call to call.
        """
        totals, summary, answered = self._totals, pool.summary, pool.finished_prompts
        prompts_per_s, tokens_per_s = self._rates(now, answered, summary.prompt_tokens + summary.completion_tokens)
        left = max(totals.prompts_to_do - answered, 0)
        hours = totals.gpu_hours_before + gpu_hours(self._config, summary.replica_s)
        price = self._config.plan.price_per_gpu_hour
        return PoolProgress(
            at=time.time(),
            stage="completions",
            prompts=totals.prompts,
            prompts_done=min(totals.prompts_before + answered, totals.prompts),
            shards=totals.shards,
            shards_done=totals.shards_before + totals.shards_to_do - pool.queue.open,
            shards_open=pool.queue.open,
            prompts_per_s=round(prompts_per_s, 1),
            tokens_per_s=round(tokens_per_s, 1),
            eta_s=round(left / prompts_per_s) if prompts_per_s else None,
            replicas={state.value: pool.count(state) for state in ReplicaState if pool.count(state)},
            deaths=summary.deaths,
            start_failures=summary.start_failures,
            failures=dict(summary.failures),
            prefix_hit_rate=round(summary.cached_tokens / max(summary.prompt_tokens, 1), 3),
            gpus=self._config.pool.gpus_per_replica,
            gpu_hours=round(hours, 4),
            cost=None if price is None else round(hours * price, 2),
        )

    def _rates(self, now: float, prompts: int, tokens: int) -> tuple[float, float]:
        """Prompts and tokens per second over the last minute, once anything was answered."""
        if not prompts:
            self._seen.clear()  # loading time does not count
        self._seen.append((now, prompts, tokens))
        while self._seen[0][0] < now - _WINDOW_S:
            self._seen.popleft()
        begin_s, prompts_then, tokens_then = self._seen[0]
        seconds = now - begin_s
        if seconds < 1:
            return 0.0, 0.0
        return (prompts - prompts_then) / seconds, max(tokens - tokens_then, 0) / seconds
