"""Stage 2 from outside: open a pool for a run, complete what is not committed, leave counters on storage.

Enters: a `Run` whose prompts stage is done. Leaves: `completions/<shard>.parquet` for every shard, and one
`attempts/<time>.json` with the counters and events of this start. Running it again does only what is missing.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.completions.budget import Budget, gpu_hours
from uniner_dist.completions.display import Display, Totals
from uniner_dist.completions.engine import EngineSpec
from uniner_dist.completions.metrics import PoolMetrics
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.queue import Shard, order_shards
from uniner_dist.completions.replica import ReplicaSpec
from uniner_dist.completions.state import PoolSummary
from uniner_dist.config.schema import Config
from uniner_dist.errors import StageError
from uniner_dist.model import identity as model
from uniner_dist.run.run import Run
from uniner_dist.storage import credentials
from uniner_dist.storage.filesystem import StorageError, exists, join, list_names, read_json, remove, write_json
from uniner_dist.storage.lease import Holder
from uniner_dist.storage.shards import (
    committed_shards,
    read_shards,
    reopen_unanswered,
    shards_with_known_answers,
    verified_shards,
)

#: Seconds between two writings of a start's counters.
_ACCOUNT_S = 30.0


@contextmanager
def open_pool(run: Run, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Pool]:
    """A pool for this run; its replicas load while the caller still prepares work. Killed when the block ends."""
    with ray_cluster(run.config.ray, run.config.spark) as ray:
        pool = Pool(ray, run.config.pool, _replica_spec(run), _environment(run.config), should_stop=should_stop)
        try:
            pool.warm_up()
            yield pool
        finally:
            pool.close()


def complete_prompts(run: Run, pool: Pool, holder: Holder | None = None) -> dict[str, Any]:
    """Complete every shard that has no committed file yet.

    Returns:
        Counters of this start, as written to `attempts/`.

    Raises:
        StageError: the prompts stage is not done, or the pool gave up.
        LimitError: `run.max_prompts` or `run.max_gpu_hours` was reached.
        RunHeldError: another process has taken the run over.
    """
    manifest = _manifest(run)
    committed = verified_shards(run.layout, {shard.name: shard.prompts for shard in manifest}, run.fingerprint)
    total = sum(shard.asked for shard in manifest)
    todo = [shard for shard in manifest if shard.name not in committed]
    done = total - sum(shard.asked for shard in todo)
    attempts = read_attempts(run)
    answered_before = done > 0 or any(attempt["prompts"] for attempt in attempts)
    budget = Budget(run, attempts)
    allowed = budget.shards(todo, done)
    account = _Account(run, manifest, committed)
    account.write(PoolSummary())
    spent = sum(attempt["gpu_hours"] for attempt in attempts)
    metrics = PoolMetrics(run.id)
    totals = Totals(total, done, len(manifest), len(committed), len(allowed), spent)
    with Display(totals, run.config, run.layout.progress) as display:

        def look_around(pool: Pool) -> None:
            display.update(pool)
            if metrics.due():
                metrics.update(display.state(pool, time.monotonic()), pool.summary, pool.finished_prompts)
            account.keep(pool.summary)
            if holder is not None and holder.lost:
                holder.check()

        pool.on_change = look_around
        try:
            known = shards_with_known_answers(run.layout)
            pool.run(order_shards(allowed), known, answered_before, budget.replica_s)
        finally:
            attempt = account.values(pool.summary)
            if holder is None or not holder.lost:
                account.write(pool.summary)
            display.update(pool, final=True)
            metrics.update(display.state(pool, time.monotonic()), pool.summary, pool.finished_prompts)
    left = len(todo) - len(allowed) + pool.queue.open
    if left:
        raise budget.reached(left, sum(shard.asked for shard in manifest))
    return attempt


def check_limits(run: Run) -> None:
    """Make sure, before a replica is started, that the limits allow anything at all.

    Raises:
        LimitError: they do not.
    """
    manifest, committed = _manifest(run), committed_shards(run.layout)
    todo = [shard for shard in manifest if shard.name not in committed]
    total = sum(shard.asked for shard in manifest)
    budget = Budget(run, read_attempts(run))
    if todo and (budget.replica_s <= 0 or not budget.shards(todo, total - sum(shard.asked for shard in todo))):
        raise budget.reached(len(todo), total)


class _Account:
    """Counters of one start in `attempts/`, kept up while it works, since it may be killed.

    Args:
        committed: shards that were committed before this start.
    """

    def __init__(self, run: Run, manifest: list[Shard], committed: Set[str]) -> None:
        self._run, self._begun, self._next_s = run, time.time(), time.monotonic() + _ACCOUNT_S
        self._kept = {
            "shards": len(manifest),
            "shards_reused": len(committed),
            "prompts_reused": sum(shard.asked for shard in manifest if shard.name in committed),
            "prompts_known": sum(shard.prompts - shard.asked for shard in manifest),
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


def note_start(run: Run) -> None:
    """Counters of a start that found every shard committed."""
    manifest = _manifest(run)
    _Account(run, manifest, {shard.name for shard in manifest}).write(PoolSummary())


def is_complete(run: Run) -> bool:
    """Whether every shard of the run has its file, by one listing."""
    if not exists(run.layout.shards):
        return False
    return {shard.name for shard in _manifest(run)} <= committed_shards(run.layout)


def reopen(run: Run) -> int:
    """Make prompts without an answer (refused, or killers) open again; returns the number of their shards.

    From here to the end of the retry `layout.retry` stands: whoever finds it goes on instead of beginning anew.
    """
    write_json(run.layout.retry, {"begun": time.time()})
    reopened = len(reopen_unanswered(run.layout, (shard.name for shard in _manifest(run))))
    if not reopened:
        remove(run.layout.retry)
    return reopened


def read_attempts(run: Run) -> list[dict[str, Any]]:
    """Counters of every start so far, oldest first."""
    names = sorted(list_names(run.layout.attempts), key=lambda name: float(name.removesuffix(".json")))
    return [read_json(join(run.layout.attempts, name)) for name in names]


def _manifest(run: Run) -> list[Shard]:
    if not exists(run.layout.shards):
        raise StageError(f"run {run.id}: the prompts stage is not done; run `uniner-dist prompts` first")
    table = read_shards(run.layout)
    columns = (table.column(name).to_pylist() for name in ("shard", "prompts", "asked", "estimated_tokens"))
    return [Shard(*row) for row in zip(*columns, strict=True)]


def _replica_spec(run: Run) -> ReplicaSpec:
    config = run.config
    return ReplicaSpec(
        engine=_engine_spec(config),
        layout=run.layout,
        store=run.store,
        fingerprint=run.fingerprint,
        template=config.model.template,
        tokenizer_json=model.load_tokenizer_json(config.model),
        max_in_flight=config.pool.max_in_flight,
        credentials=credentials.of_this_process(),
    )


def _engine_spec(config: Config) -> EngineSpec:
    return EngineSpec(
        kind=config.engine.kind,
        model=config.model,
        scores=config.run.scores,
        gpus=config.pool.gpus_per_replica,
        max_model_len=model.context_length(config.model),
        block_size=config.engine.block_size,
        prefix_tails=config.engine.prefix_tails,
        kv_cache_gib=config.engine.kv_cache_gib,
        gpu_memory_utilization=config.engine.gpu_memory_utilization,
        max_num_seqs=config.engine.max_num_seqs,
        metrics=config.engine.metrics,
        extra=config.engine.extra,
    )


def _environment(config: Config) -> dict[str, str]:
    """Environment of a replica's process; vLLM and OpenMP read theirs at import."""
    engine, gpus = config.engine, config.pool.gpus_per_replica
    in_process = engine.in_process if engine.in_process is not None else not gpus
    env = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if in_process else "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
        "TOKENIZERS_PARALLELISM": "false",
        # A replica never spans nodes, so its own sockets need not be reachable from others.
        "VLLM_HOST_IP": os.environ.get("VLLM_HOST_IP", "127.0.0.1"),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
    }
    if not gpus:
        env |= {
            "OMP_NUM_THREADS": str(engine.threads),
            # vLLM's speculation by n-grams (`engine.extra`) uses numba; with numba's own default, all cores, an engine
            # took 9 times the CPU.
            "NUMBA_NUM_THREADS": str(engine.threads),
            # The default binds the worker of every engine to core 0.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            # vLLM takes whole GiB only.
            "VLLM_CPU_KVCACHE_SPACE": str(math.ceil(engine.kv_cache_gib)),
        }
    return env
