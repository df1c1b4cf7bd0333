"""Counters of every start of the completions stage, in `attempts/` of the run: one file per start."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from uniner_dist.completions.budget import gpu_hours
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import Shard
from uniner_dist.run.run import Run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.filesystem import join, write_json
from uniner_dist.storage.retries import StorageError

#: Seconds between two writings of a start's counters.
_ACCOUNT_S = 30.0


class Account:
    """Counters of one start in `attempts/`, kept up while it works, since it may be killed.

    Args:
        committed: shards that were committed before this start.
    """

    def __init__(self, run: Run, manifest: Sequence[Shard], committed: Set[str]) -> None:
        self._run, self._begun, self._next_s = run, time.time(), time.monotonic() + _ACCOUNT_S
        self._kept = {
            "shards": len(manifest),
            "shards_reused": len(committed),
            "prompts_reused": sum(shard.asked for shard in manifest if shard.name in committed),
            "prompts_known": sum(shard.prompts - shard.asked - shard.skipped for shard in manifest),
        }

    def values(self, summary: PoolSummary) -> dict[str, Any]:
        """All of it."""
        times = {"begun": self._begun, "ended": time.time(), "host": socket.gethostname()}
        hours = gpu_hours(self._run.config, summary.replica_s)
        return times | asdict(summary) | self._kept | {"gpu_hours": hours}

    def keep(self, summary: PoolSummary) -> None:
        """Write now and then."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _ACCOUNT_S
            self.write(summary)

    def write(self, summary: PoolSummary) -> None:
        """Without these counters the report is poorer, so storage that fails here stops nothing."""
        with suppress(StorageError):
            write_json(join(self._run.layout.attempts, f"{self._begun:.3f}.json"), self.values(summary))


def read_attempts(run: Run) -> list[dict[str, Any]]:
    """Counters of every start so far, oldest first."""
    return [attempt.model_dump(mode="json") for attempt in read_starts(run.layout)]
