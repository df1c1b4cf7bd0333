"""Settings of a run's replicas: engine and environment of their processes."""

from __future__ import annotations

import math
import os

from uniner_dist import model
from uniner_dist.completions.engine import EngineSpec
from uniner_dist.completions.replica import ReplicaSpec
from uniner_dist.config.schema import Config
from uniner_dist.run.run import Run
from uniner_dist.storage import credentials


def replica_spec(run: Run) -> ReplicaSpec:
    """Return what every replica of a run loads and works with: engine, folders, tokenizer and credentials.

    Args:
        run: the run to answer; its model's files are read, and the storage credentials of this process are added.
    """
    config = run.config
    return ReplicaSpec(
        engine=engine_spec(run.config, run.model_identity),
        layout=run.layout,
        store=run.store,
        fingerprint=run.fingerprint,
        template=config.model.template,
        tokenizer_json=model.load_tokenizer_json(config.model),
        max_in_flight=config.pool.max_in_flight,
        credentials=credentials.of_this_process(),
    )


def engine_spec(config: Config, model_identity: str = "") -> EngineSpec:
    """Return the specification of a replica's engine; ids that end an answer are added where the tokenizer is loaded.

    Args:
        config: a run's configuration; the files of its model are read to find its context length.
        model_identity: what the model's files must still be when the engine loads; empty: not checked.
    """
    return EngineSpec(
        kind=config.engine.kind,
        model=config.model,
        model_identity=model_identity,
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


def replica_environment(config: Config) -> dict[str, str]:
    """Return the environment variables of a replica's process; vLLM and OpenMP read theirs at import.

    Args:
        config: engine and pool settings decide; a few variables of this process are passed on where they are set.
    """
    engine, gpus = config.engine, config.pool.gpus_per_replica
    in_process = engine.in_process if engine.in_process is not None else not gpus
    env = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if in_process else "1",
        "VLLM_NO_USAGE_STATS": "1",
        # No plugin of other installed packages is loaded, unless the caller names it.
        "VLLM_PLUGINS": os.environ.get("VLLM_PLUGINS", ""),
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
