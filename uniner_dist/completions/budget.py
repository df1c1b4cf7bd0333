"""Limits on what a run may spend, over all of its starts: which shards may be asked, and for how long.

A start that was killed outright is counted up to its last written account, which may be half a minute old.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from uniner_dist.completions.decisions import shards_within
from uniner_dist.completions.work import Shard
from uniner_dist.config.schema import Config
from uniner_dist.errors import LimitError
from uniner_dist.run.run import Run
from uniner_dist.run.triage import read_bound, read_learnt
from uniner_dist.storage.control_files import Attempt


def gpu_hours(config: Config, replica_s: float) -> float:
    """Return the GPU hours of a number of replica seconds; a CPU replica counts as one GPU.

    Args:
        config: its `pool.gpus_per_replica` is multiplied in.
        replica_s: seconds that replicas were placed, loading included, summed over all of them.
    """
    return replica_s * max(config.pool.gpus_per_replica, 1) / 3600


class Budget:
    """The remaining part of a run's limits (`run.max_prompts`, `run.max_gpu_hours`).

    Args:
        run: its configuration has the limits; prompts that triage's sample has asked count against them.
        attempts: counters of earlier starts.
    """

    def __init__(self, run: Run, attempts: Sequence[Attempt]) -> None:
        self._limits = run.config.run
        earlier = read_bound(run) or read_learnt(run)
        #: Prompts that triage's sample has asked; the plan made from their answers does not ask them again.
        self._sampled = earlier.sampled if earlier is not None else 0
        self._spent_hours = sum(attempt.gpu_hours for attempt in attempts)
        #: Seconds that replicas may still take in all.
        self.replica_s = math.inf
        if self._limits.max_gpu_hours is not None:
            self.replica_s = (self._limits.max_gpu_hours - self._spent_hours) / gpu_hours(run.config, 1)

    def shards(self, todo: Iterable[Shard], done: int) -> list[Shard]:
        """Return those open shards that may be asked.

        Args:
            todo: shards without a committed file, in any order.
            done: prompts asked in committed shards.

        Returns:
            Shards whose prompts together stay within `run.max_prompts`, those with most prompts first; see
            `shards_within`.
        """
        limit = self._limits.max_prompts
        return shards_within(todo, None if limit is None else limit - done - self._sampled)

    def reached(self, shards: int, prompts: int) -> LimitError:
        """Return the error with which the stage ends when a limit was reached.

        Args:
            shards: how many are left open.
            prompts: how many the run would ask in all.
        """
        limits = {"run.max_prompts": self._limits.max_prompts, "run.max_gpu_hours": self._limits.max_gpu_hours}
        shown = " and ".join(f"{name}={value:g}" for name, value in limits.items() if value is not None)
        return LimitError(
            f"stopped at {shown} with {shards:,} shards open; the whole run asks {prompts:,} prompts. What is answered "
            "is committed, and the same command with a higher limit resumes from there; nothing is published yet"
        )
