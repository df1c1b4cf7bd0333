"""One way of answering all prompts, in a process of its own: `python -m benchmarks.throughput.ways WAY FOLDER`.

WAY is a name of `WAYS`, with settings of its own behind an `@`, such as `ours@engine.max_num_seqs=256` or
`ray-data@batch_size=64;max_concurrent_batches=16`. Writes `WAY.answers.json` (prompt key → answer) and `WAY.json`:
`ready` and `end` on the wall clock, from the moment when the engines are loaded to the last answer, how many prompts
were answered between them, and when the last row was on disk. Every way gets the same precision, block size, context
and KV cache and one thread an engine, and the engine in the process where that is offered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from uniner_dist import demo

MAX_TOKENS, MAX_MODEL_LEN, BLOCK_SIZE = 256, 2048, 32
ENGINE: dict[str, Any] = {
    "dtype": "float32", "max_model_len": MAX_MODEL_LEN, "block_size": BLOCK_SIZE, "enforce_eager": True, "seed": 0,
    "enable_prefix_caching": True,
}  # fmt: skip
#: About as many prompts as a dataset of the official evaluation has, for each of which it calls `generate` once.
OFFICIAL_CALL = 6000

Answers = dict[str, str]
Measured = tuple[Answers, dict[str, Any]]


def environment(kv_cache_gib: int) -> dict[str, str]:
    """What the processes of every way find, as replicas of this project do; vLLM reads it at import."""
    return {
        **os.environ, "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib), "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false", "VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip


def read_strings(folder: Path, order: str) -> list[dict[str, str]]:
    """`key` and `prompt`, shuffled as they came, or `sorted` by the prompt; plain JSON: Arrow beside vLLM crashed."""
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    return sorted(rows, key=lambda row: row["prompt"]) if order == "sorted" else rows


def plain(folder: Path, order: str, settings: dict[str, Any], official: bool = False, as_ids: bool = False) -> Measured:
    """`LLM.generate` over all prompts as strings at once; as the official scripts do it: a call per dataset.

    With `as_ids` it gets the very tokens that this project asks with, in the same order.
    """
    from vllm import LLM, SamplingParams

    rows = read_strings(folder, order)
    prompts: list[Any] = [row["prompt"] for row in rows]
    if as_ids:
        ids = json.loads((folder / "ids.json").read_text())
        prompts = [{"prompt_token_ids": ids[row["key"]]} for row in rows]
    own = {"enable_prefix_caching": False, "block_size": 128} if official else {}
    llm = LLM(model=str(demo.model_path()), **{**ENGINE, **own, **settings})
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS, stop=["</s>"] if official else None)
    size = OFFICIAL_CALL if official else len(rows)
    ready = time.time()
    results = []
    for start in range(0, len(rows), size):
        results += llm.generate(prompts[start : start + size], params, use_tqdm=False)
    answers = {row["key"]: result.outputs[0].text for row, result in zip(rows, results, strict=True)}
    window = {"ready": ready, "end": time.time(), "prompts": len(rows)}
    prompt_tokens = sum(len(result.prompt_token_ids) for result in results)
    return answers, window | {"computed_tokens": prompt_tokens - sum(r.num_cached_tokens or 0 for r in results)}


def ray_data(folder: Path, order: str, settings: dict[str, Any]) -> Measured:
    """`ray.data.llm`: strings in, stages that the engine does as well left out. Its engine is a process of its own."""
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    # Its stages take a logical CPU each.
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    ray.data.DataContext.get_current().enable_progress_bars = False
    options = {"concurrency": 1, "batch_size": 256, "max_concurrent_batches": 8, "rows_per_block": 256} | settings
    rows_per_block = options.pop("rows_per_block")
    engine = {**ENGINE, "disable_log_stats": True, **options.pop("engine_kwargs", {})}
    config = vLLMEngineProcessorConfig(
        model_source=str(demo.model_path()),
        engine_kwargs=engine,
        placement_group_config={"bundles": [{"CPU": 1}], "strategy": "PACK"},
        **({"chat_template_stage": False, "tokenize_stage": False, "detokenize_stage": False} | options),
        log_engine_metrics=False,
    )
    params = {"temperature": 0.0, "max_tokens": MAX_TOKENS}
    processor = build_processor(
        config,
        preprocess=lambda row: {"prompt": row["prompt"], "sampling_params": params, "key": row["key"]},
        postprocess=lambda row: {
            "key": row["key"], "output": row["generated_text"], "at": time.time(), "took_s": row["time_taken_llm"],
        },
    )  # fmt: skip
    rows = read_strings(folder, order)
    blocks = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // rows_per_block))
    answered = processor(blocks).take_all()
    end = time.time()
    # It does not tell when its engine is loaded; the first request that it took up does.
    ready = min(row["at"] - row["took_s"] for row in answered)
    return {row["key"]: row["output"] for row in answered}, {"ready": ready, "end": end, "prompts": len(answered)}


def ours(folder: Path, replicas: int, settings: dict[str, Any]) -> Measured:
    """The completions stage of this project: pool, replicas, shards from disk, files to disk."""
    from benchmarks.throughput.stage import complete

    return complete(folder, {"pool.replicas": replicas, **settings})


Way = Callable[[Path, dict[str, Any]], Measured]
WAYS: dict[str, Way] = {
    "plain-sorted": lambda folder, settings: plain(folder, "sorted", settings),
    "plain-ids": lambda folder, settings: plain(folder, "sorted", settings, as_ids=True),
    "plain-shuffled": lambda folder, settings: plain(folder, "shuffled", settings),
    "official-loop": lambda folder, settings: plain(folder, "sorted", settings, official=True),
    "ray-data": lambda folder, settings: ray_data(folder, "sorted", settings),
    "ours": lambda folder, settings: ours(folder, 1, settings),
    "ours-2-replicas": lambda folder, settings: ours(folder, 2, settings),
}


def parse_way(words: str) -> tuple[Way, dict[str, Any]]:
    """A way and its settings, from `name@key=value;key=value` with values in YAML."""
    name, _, rest = words.partition("@")
    return WAYS[name], parse_settings(rest)


def parse_settings(words: str) -> dict[str, Any]:
    """Settings from `key=value;key=value` with values in YAML."""
    pairs = (pair.partition("=") for pair in words.split(";") if pair)
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    words, folder = arguments[0], Path(arguments[1])
    way, settings = parse_way(words)
    answers, measured = way(folder, settings)
    (folder / f"{words}.answers.json").write_text(json.dumps(answers))
    (folder / f"{words}.json").write_text(json.dumps(measured | {"written": time.time()}))


if __name__ == "__main__":
    main(sys.argv[1:])
