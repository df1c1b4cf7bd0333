"""Progress of the completions stage: a bar in a terminal, a line every 30 s elsewhere, a JSON for `status`."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from uniner_dist.completions.policy import ReplicaState
from uniner_dist.completions.pool import Pool
from uniner_dist.storage.filesystem import StorageError, write_json

_LINE_S = 30.0
_STATUS_S = 5.0


class Display:
    """Shows a pool at work. Use as a context manager and call `update` as often as you like.

    Args:
        total: prompts of the whole stage.
        done: prompts that were committed before this start.
        status_path: JSON to keep current.
    """

    def __init__(self, total: int, done: int, status_path: str) -> None:
        self._total, self._done, self._status_path = total, done, status_path
        self._begun = time.monotonic()
        self._next_line = self._begun + _LINE_S
        self._next_status = 0.0
        self._working_since: float | None = None
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task: Any = None

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total, completed=self._done, rate="", replicas="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, pool: Pool, final: bool = False) -> None:
        """Look at the pool and show what is due; everything when `final`."""
        now = time.monotonic()
        state = self._state(pool, now)
        if self._bar is not None:
            rate = f"{state['prompts_per_s']:.0f} prompts/s" if state["prompts_per_s"] else "loading the model"
            self._bar.update(self._task, completed=state["prompts_done"], rate=rate, replicas=_replicas(pool))
        elif now >= self._next_line:
            self._next_line = now + _LINE_S
            print(_line(state), file=sys.stderr, flush=True)
        if final or now >= self._next_status:
            self._next_status = now + _STATUS_S
            # News for people must not stop the work: what matters fails at the next commit.
            try:
                write_json(self._status_path, state)
            except StorageError:
                self._next_status = now + 10 * _STATUS_S

    def _state(self, pool: Pool, now: float) -> dict[str, Any]:
        answered = pool.finished_prompts
        if answered and self._working_since is None:
            self._working_since = now
        seconds = now - self._working_since if self._working_since else 0.0
        rate = answered / seconds if seconds > 1 else 0.0
        left = max(self._total - self._done - answered, 0)
        return {
            "at": time.time(),
            "stage": "completions",
            "prompts": self._total,
            "prompts_done": min(self._done + answered, self._total),
            "shards_open": pool.queue.open,
            "prompts_per_s": round(rate, 1),
            "eta_s": round(left / rate) if rate else None,
            "replicas": {state.value: pool.count(state) for state in ReplicaState if pool.count(state)},
            "deaths": pool.summary.deaths,
            "failures": pool.summary.failures,
            "prefix_hit_rate": round(pool.summary.cached_tokens / max(pool.summary.prompt_tokens, 1), 3),
        }


def _bar() -> Progress:
    return Progress(
        TextColumn("completions"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} prompts"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[replicas]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _replicas(pool: Pool) -> str:
    counts = [f"{pool.count(state)} {state.value}" for state in ReplicaState if pool.count(state)]
    return "replicas: " + (", ".join(counts) or "none")


def _line(state: dict[str, Any]) -> str:
    share = state["prompts_done"] / max(state["prompts"], 1)
    eta = f", {state['eta_s']} s left" if state["eta_s"] is not None else ""
    replicas = ", ".join(f"{count} {name}" for name, count in state["replicas"].items()) or "none"
    return (
        f"completions: {state['prompts_done']:,}/{state['prompts']:,} prompts ({share:.0%}), "
        f"{state['prompts_per_s']:.0f} prompts/s{eta}; replicas: {replicas}; deaths: {state['deaths']}"
    )
