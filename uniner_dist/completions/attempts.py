"""Counters of every start of the completions stage, in `attempts/` of the run: one file per start."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import asdict

from uniner_dist.completions.budget import gpu_hours
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import Shard
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Attempt, write_record
from uniner_dist.storage.filesystem import join
from uniner_dist.storage.retries import StorageError

#: Seconds between two writings of a start's counters.
_ACCOUNT_S = 30.0


class Account:
    """Counters of one start in `attempts/`, rewritten while it works, since it may be killed.

    Args:
        run: the run that was started.
        manifest: all shards of the run.
        committed: names of the shards that were committed before this start.
    """

    def __init__(self, run: Run, manifest: Sequence[Shard], committed: Set[str]) -> None:
        self._run, self._begun, self._next_s = run, time.time(), time.monotonic() + _ACCOUNT_S
        self._kept = {
            "shards": len(manifest),
            "shards_reused": len(committed),
            "prompts_reused": sum(shard.asked for shard in manifest if shard.name in committed),
            "prompts_known": sum(shard.prompts - shard.asked - shard.skipped for shard in manifest),
        }

    def values(self, summary: PoolSummary) -> Attempt:
        """Return the record of this start as of now.

        Args:
            summary: counters of the pool, from this start only.
        """
        counted = asdict(summary) | self._kept
        counted |= {"begun": self._begun, "ended": time.time(), "host": socket.gethostname()}
        counted |= {"gpu_hours": gpu_hours(self._run.config, summary.replica_s)}
        return Attempt.model_validate(counted, strict=False)

    def keep(self, summary: PoolSummary) -> None:
        """Write the counters if the last write is at least 30 s ago.

        Args:
            summary: counters of the pool so far.
        """
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _ACCOUNT_S
            self.write(summary)

    def write(self, summary: PoolSummary) -> None:
        """Write the counters; they only serve the report, so an error of the storage is ignored here.

        Args:
            summary: counters of the pool so far; an empty one for a start that has done nothing yet.
        """
        with suppress(StorageError):
            write_record(join(self._run.layout.attempts, f"{self._begun:.3f}.json"), self.values(summary))
