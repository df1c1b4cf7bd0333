"""Stage 2: open a pool for a run, complete the shards that are not committed, write counters to storage.

Running it again only does what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.completions.attempts import Account
from uniner_dist.completions.budget import Budget
from uniner_dist.completions.decisions import order_shards
from uniner_dist.completions.launch import replica_environment, replica_spec
from uniner_dist.completions.manifest import read_manifest
from uniner_dist.completions.metrics import PoolMetrics
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.snapshot import Observer, Snapshots, Totals
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.run.run import Run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.control_files import Attempt, PoolProgress
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.lease import Lease
from uniner_dist.storage.shards import (
    committed_shards,
    shards_with_cached_answers,
    verified_shards,
)


@contextmanager
def open_pool(run: Run, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Pool]:
    """Open a pool for a run; its replicas load while the caller still prepares work. Killed when the block ends.

    Args:
        run: the run to answer; its prompts need not be written yet.
        should_stop: asked about five times a second while the pool works; True drains it. Default: never.

    Yields:
        The pool, whose replicas were requested but may not be loaded yet.

    Raises:
        StageError: the Ray cluster cannot be reached or refuses this process.
    """
    with ray_cluster(run.config.ray, run.config.spark) as ray:
        pool = Pool(ray, run.config.pool, replica_spec(run), replica_environment(run.config), should_stop=should_stop)
        try:
            pool.warm_up()
            yield pool
        finally:
            pool.close()


def complete_prompts(run: Run, pool: Pool, lease: Lease | None = None, observer: Observer | None = None) -> Attempt:
    """Complete every shard that has no committed file yet.

    Args:
        run: a run whose prompts stage is done.
        pool: the replicas that answer; the caller starts and stops them.
        lease: of the run, so that work ends when another process takes it over.
        observer: is shown states of the pool while it works, and the last one.

    Returns:
        Counters of this start, as written to `attempts/`.

    Raises:
        StageError: the prompts stage is not done, or the pool gave up.
        LimitError: `run.max_prompts` or `run.max_gpu_hours` was reached.
        RunHeldError: another process has taken the run over.
    """
    manifest = read_manifest(run)
    committed = verified_shards(run.layout, {shard.name: shard.prompts for shard in manifest}, run.fingerprint)
    total = sum(shard.asked for shard in manifest)
    todo = [shard for shard in manifest if shard.name not in committed]
    done = total - sum(shard.asked for shard in todo)
    attempts = read_starts(run.layout)
    answered_before = done > 0 or any(attempt.prompts for attempt in attempts)
    budget = Budget(run, attempts)
    allowed = budget.shards(todo, done)
    account = Account(run, manifest, committed)
    account.write(PoolSummary())
    spent = sum(attempt.gpu_hours for attempt in attempts)
    # What is skipped is told by the file of known answers: if that is gone, the replica must find out.
    known = shards_with_cached_answers(run.layout) | {shard.name for shard in allowed if shard.skipped}
    asked = sum(shard.asked for shard in allowed)
    totals = Totals(total, done, len(manifest), len(committed), len(allowed), asked, spent)
    news = _News(Snapshots(totals, run.config), observer, PoolMetrics(run.id), account, lease)
    pool.on_change = news.pass_on
    try:
        pool.run(order_shards(allowed), known, answered_before, budget.replica_s)
    finally:
        attempt = news.finish(pool)
    left = len(todo) - len(allowed) + pool.queue.open
    if left:
        raise budget.reached(left, total)
    return attempt


@dataclass(frozen=True)
class _News:
    """Reports the state of a pool to an observer, to Prometheus, and to the start's counters on storage."""

    snapshots: Snapshots
    observer: Observer | None
    metrics: PoolMetrics
    account: Account
    lease: Lease | None

    def pass_on(self, pool: Pool) -> None:
        """Report to those that are due.

        Raises:
            RunHeldError: another process has taken the run over.
        """
        if self.observer is not None and self.observer.due():
            self.observer.show(self._state(pool))
        if self.metrics.due():
            self._measure(pool)
        self.account.keep(pool.summary)
        if self.lease is not None and self.lease.lost:
            self.lease.check()

    def finish(self, pool: Pool) -> Attempt:
        """Report for the last time; returns the start's counters."""
        attempt = self.account.values(pool.summary)
        if self.lease is None or not self.lease.lost:
            self.account.write(pool.summary)
        if self.observer is not None:
            self.observer.show(self._state(pool), final=True)
        self._measure(pool)
        return attempt

    def _measure(self, pool: Pool) -> None:
        self.metrics.update(self._state(pool), pool.summary, pool.finished_prompts)

    def _state(self, pool: Pool) -> PoolProgress:
        return self.snapshots.of(pool, time.monotonic())


def check_limits(run: Run) -> None:
    """Check, before a replica is started, that the limits allow any work at all.

    Args:
        run: a run whose prompts stage is done.

    Raises:
        LimitError: there are open shards, and the limits allow none of them.
        StageError: the prompts stage is not done.
    """
    manifest, committed = read_manifest(run), committed_shards(run.layout)
    todo = [shard for shard in manifest if shard.name not in committed]
    total = sum(shard.asked for shard in manifest)
    budget = Budget(run, read_starts(run.layout))
    if todo and (budget.replica_s <= 0 or not budget.shards(todo, total - sum(shard.asked for shard in todo))):
        raise budget.reached(len(todo), total)


def note_start(run: Run) -> None:
    """Write the counters of a start that found every shard committed.

    Args:
        run: the run whose shards are all committed.
    """
    manifest = read_manifest(run)
    Account(run, manifest, {shard.name for shard in manifest}).write(PoolSummary())


def is_complete(run: Run) -> bool:
    """Return whether every shard of the run has its file, by one listing; False before the prompts stage is done.

    Args:
        run: at any stage.
    """
    if not exists(run.layout.shards):
        return False
    return {shard.name for shard in read_manifest(run)} <= committed_shards(run.layout)
