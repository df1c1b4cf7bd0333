"""What there is to see of a pool at work, as a state for `uniner_dist.reporting.progress`, and its live view."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from uniner_dist.completions.budget import gpu_hours
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.queue import ReplicaState
from uniner_dist.config.schema import Config
from uniner_dist.reporting.live import LiveView

#: Rates are means over the last so many seconds.
_WINDOW_S = 60.0


@dataclass(frozen=True)
class Totals:
    """What a start of the completions stage begins with.

    Args:
        prompts: of the whole stage, and those that were committed before.
        shards: of the whole stage, those that were committed before, and those that this start may do.
        gpu_hours_before: spent by earlier starts.
    """

    prompts: int
    prompts_before: int
    shards: int
    shards_before: int
    shards_to_do: int
    gpu_hours_before: float


class Display:
    """Shows a pool at work. Use as a context manager and call `update` as often as you like.

    Args:
        path: JSON to keep current.
    """

    def __init__(self, totals: Totals, config: Config, path: str) -> None:
        self._totals, self._config = totals, config
        self._view = LiveView(path)
        self._seen: deque[tuple[float, int, int]] = deque()

    def __enter__(self) -> Display:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, value, trace)

    def update(self, pool: Pool, final: bool = False) -> None:
        """Look at the pool and show what is due; everything when `final`."""
        if final or self._view.due():
            self._view.show(self.state(pool, time.monotonic()), final)

    def state(self, pool: Pool, now: float) -> dict[str, Any]:
        """Plain values; see `uniner_dist.reporting.progress`.

        Args:
            now: seconds of a monotonic clock.
        """
        totals, summary, answered = self._totals, pool.summary, pool.finished_prompts
        prompts_per_s, tokens_per_s = self._rates(now, answered, summary.prompt_tokens + summary.completion_tokens)
        left = max(totals.prompts - totals.prompts_before - answered, 0)
        hours = totals.gpu_hours_before + gpu_hours(self._config, summary.replica_s)
        price = self._config.plan.price_per_gpu_hour
        return {
            "at": time.time(),
            "stage": "completions",
            "prompts": totals.prompts,
            "prompts_done": min(totals.prompts_before + answered, totals.prompts),
            "shards": totals.shards,
            "shards_done": totals.shards_before + totals.shards_to_do - pool.queue.open,
            "shards_open": pool.queue.open,
            "prompts_per_s": round(prompts_per_s, 1),
            "tokens_per_s": round(tokens_per_s, 1),
            "eta_s": round(left / prompts_per_s) if prompts_per_s else None,
            "replicas": {state.value: pool.count(state) for state in ReplicaState if pool.count(state)},
            "deaths": summary.deaths,
            "start_failures": summary.start_failures,
            "failures": dict(summary.failures),
            "prefix_hit_rate": round(summary.cached_tokens / max(summary.prompt_tokens, 1), 3),
            "gpu_hours": round(hours, 4),
            "cost": None if price is None else round(hours * price, 2),
        }

    def _rates(self, now: float, prompts: int, tokens: int) -> tuple[float, float]:
        """Prompts and tokens per second over the last minute, once anything was answered."""
        if not prompts:
            self._seen.clear()  # loading is not slowness
        self._seen.append((now, prompts, tokens))
        while self._seen[0][0] < now - _WINDOW_S:
            self._seen.popleft()
        begin_s, prompts_then, tokens_then = self._seen[0]
        seconds = now - begin_s
        if seconds < 1:
            return 0.0, 0.0
        return (prompts - prompts_then) / seconds, max(tokens - tokens_then, 0) / seconds
