"""One way of answering all prompts, in a process of its own: `python -m benchmarks.throughput.ways WAY FOLDER MODEL`.

Writes `WAY.json`: `ready` and `end` (wall clock), from the moment when an engine is loaded to the last answer, and how
many prompts were answered between them; and `WAY.parquet` (passage_id, entity_type, output) for comparison. Every way
gets the same precision, block size, prefix caching, context and KV cache, one thread an engine, and the engine in the
process where that is offered.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAX_TOKENS, MAX_MODEL_LEN, BLOCK_SIZE = 256, 2048, 32
ENGINE = {
    "dtype": "float32", "max_model_len": MAX_MODEL_LEN, "block_size": BLOCK_SIZE, "enforce_eager": True, "seed": 0,
}  # fmt: skip


Measured = tuple[pa.Table, dict[str, Any]]


def environment(kv_cache_gib: int) -> dict[str, str]:
    """What the processes of every way find; vLLM reads it at import."""
    return {
        **os.environ, "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib), "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false", "RAY_DEDUP_LOGS": "0",
    }  # fmt: skip


def plain(folder: Path, model: str, order: str, caching: bool, block_size: int = BLOCK_SIZE) -> Measured:
    """`LLM.generate` over all prompts as strings at once."""
    from vllm import LLM, SamplingParams

    table = pq.read_table(folder / "prompts.parquet")
    if order == "sorted":
        table = table.sort_by([("prompt", "ascending")])
    llm = LLM(model=model, enable_prefix_caching=caching, **{**ENGINE, "block_size": block_size})
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    ready = time.time()
    results = llm.generate(table["prompt"].to_pylist(), params, use_tqdm=False)
    outputs = [result.outputs[0].text for result in results]
    end = time.time()
    prompt_tokens = sum(len(result.prompt_token_ids) for result in results)
    cached = sum(result.num_cached_tokens or 0 for result in results)
    counts = {"prompts": len(outputs), "prompt_tokens": prompt_tokens, "cached_tokens": cached}
    return answers(table, outputs), {"ready": ready, "end": end, **counts}


def ray_data(folder: Path, model: str, order: str) -> Measured:
    """`ray.data.llm`: strings in, its own tokenising and detokenising stages off where the engine does it as well."""
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)  # its stages take a logical CPU each
    ray.data.DataContext.get_current().enable_progress_bars = False
    table = pq.read_table(folder / "prompts.parquet")
    if order == "sorted":
        table = table.sort_by([("prompt", "ascending")])
    config = vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs={**ENGINE, "enable_prefix_caching": True},
        runtime_env={
            "env_vars": {key: value for key, value in environment(1).items() if key.startswith(("VLLM", "OMP"))}
        },
        placement_group_config={"bundles": [{"CPU": 1}], "strategy": "PACK"},
        concurrency=1,
        batch_size=256,
        max_concurrent_batches=8,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
    )
    params = {"temperature": 0.0, "max_tokens": MAX_TOKENS}
    processor = build_processor(
        config,
        preprocess=lambda row: {"prompt": row["prompt"], "sampling_params": params},
        postprocess=lambda row: {"output": row["generated_text"], "at": time.time()},
    )
    blocks = ray.data.from_arrow([table.slice(i, 256) for i in range(0, table.num_rows, 256)])
    answered = pa.concat_tables(ray.get(processor(blocks).to_arrow_refs()), promote_options="default")
    end = time.time()
    times = answered["at"].to_pylist()
    # It does not tell when its engine is loaded: its steady state begins behind the first answers that come out.
    ready = min(times) + 0.5
    late = sum(at > ready for at in times)
    return answers(answered, answered["output"].to_pylist()), {"ready": ready, "end": end, "prompts": late}


def ours(folder: Path, replicas: int) -> Measured:
    """The completions stage of this project: pool, replicas, shards from disk, files to disk."""
    from uniner_dist.completions.stage import complete_prompts, open_pool
    from uniner_dist.config import validate_tree
    from uniner_dist.run import load_run
    from uniner_dist.storage.shards import read_completions, read_shards

    run = load_run(str(folder / "run"))
    for name in (run.layout.completions, run.layout.attempts, run.config.store_path):
        shutil.rmtree(name, ignore_errors=True)
    tree = run.config.model_dump()
    tree["pool"]["replicas"] = replicas
    run = replace(run, config=validate_tree(tree))
    with open_pool(run) as pool:
        attempt = complete_prompts(run, pool)
        end = time.time()
    shards = read_shards(run.layout).column("shard").to_pylist()
    table = pa.concat_tables([read_completions(run.layout.completions_file(s), s, run.fingerprint) for s in shards])
    window = {"ready": end - attempt["answering_s"], "end": end}
    return answers(table, table["output"].to_pylist()), window | {
        name: attempt[name] for name in ("prompts", "prompt_tokens", "cached_tokens")
    }


def answers(table: pa.Table, outputs: list[str | None]) -> pa.Table:
    """Answers by prompt."""
    keys = table.select(["passage_id", "entity_type"])
    return keys.append_column("output", pa.array(outputs, pa.string())).combine_chunks()


WAYS: dict[str, Callable[[Path, str], Measured]] = {
    "plain-sorted": lambda folder, model: plain(folder, model, "sorted", caching=True),
    "plain-shuffled": lambda folder, model: plain(folder, model, "shuffled", caching=True),
    # The authors' scripts hand whole strings to `LLM.generate` with vLLM's settings of their time.
    "official-loop": lambda folder, model: plain(folder, model, "shuffled", caching=False, block_size=128),
    "ray-data-sorted": lambda folder, model: ray_data(folder, model, "sorted"),
    "ray-data-shuffled": lambda folder, model: ray_data(folder, model, "shuffled"),
    "ours": lambda folder, model: ours(folder, 1),
    "ours-2-replicas": lambda folder, model: ours(folder, 2),
}


def main() -> None:
    """Command line."""
    way, folder, model = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    table, measured = WAYS[way](folder, model)
    pq.write_table(table, folder / f"{way}.parquet")
    (folder / f"{way}.json").write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
