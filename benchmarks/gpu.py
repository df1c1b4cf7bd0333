"""Plain vLLM and this project's replica on one device, without Spark, Ray or network.

    python -m benchmarks.gpu --prompts 20000                       # 7 B Llama with random weights, on a GPU
    python -m benchmarks.gpu --model DIR --answer-tokens 256       # a checkpoint
    python -m benchmarks.gpu --size tiny --prompts 200             # works anywhere

Prompts have the shape of CrossNER: texts of some 200 characters (`--text-chars`), each asked for `--types` types.
Random weights answer nonsense, so every answer is cut at `--answer-tokens`, about what a real one takes. Every way runs
in a process of its own on the same prompts: `plain`, `ours` (prefix hits in whole blocks) and `ours-prefix-tails`
(`engine.prefix_tails`); one JSON is printed. `--counters` reads vLLM's prefix-cache counters too, which costs it some
CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.throughput.compare import differing
from uniner_dist import demo
from uniner_dist.config.schema import PoolConfig
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.template import DEFAULT_TEMPLATE, get_template

#: Dense bfloat16 of an H100 SXM, floating-point operations per second.
PEAK_FLOPS = 989e12
SIZES: dict[str, dict[str, int]] = {
    "7b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128},
}
VOCABULARY = 32000
WAYS = ("plain", "ours", "ours-prefix-tails")


def make_model(folder: Path, size: str, tokenizer_from: Path) -> None:
    """A folder that vLLM loads with `load_format="dummy"`: a Llama's config, and another model's tokenizer."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": False, "dtype": "bfloat16", **SIZES[size],
    }  # fmt: skip
    config["num_key_value_heads"] = config["num_attention_heads"]
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_from / name, folder / name)


def count_parameters(config: Mapping[str, Any]) -> int:
    """Weights of a Llama that every token is multiplied with: all matrices, the output layer, no input embeddings."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    attention = 2 * hidden * head * heads + 2 * hidden * head * (config.get("num_key_value_heads") or heads)
    layer = attention + 3 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer + hidden * config["vocab_size"])


def make_texts(count: int, characters: int) -> list[str]:
    """Different texts of random words: log-normal lengths about the given mean, as sentences have."""
    source = random.Random(3)
    words = ["".join(source.choices("abcdefghijklmnoprstuvw", k=source.randint(2, 9))) for _ in range(3000)]
    names = [word.capitalize() for word in words[:600]]
    texts = []
    for number in range(count):
        length = max(30.0, source.lognormvariate(0.0, 0.4) * characters)
        parts, size = [f"{number}"], 0
        while size < length:
            parts.append(source.choice(names if source.random() < 0.15 else words))
            size += len(parts[-1]) + 1
        texts.append(" ".join(parts) + ".")
    return texts


def run_plain(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`LLM.generate` over whole strings, sorted, all at once."""
    from vllm import LLM, SamplingParams

    template = get_template(DEFAULT_TEMPLATE)
    pairs = sorted((text, kind) for text in settings["texts"] for kind in settings["types"])
    engine = {"model": settings["model"], "max_model_len": 2048, "seed": 0, "enable_prefix_caching": True}
    engine |= {} if settings["gpu"] else {"dtype": "float32", "block_size": 32, "enforce_eager": True}
    llm = LLM(**engine, **settings["engine"])
    params = SamplingParams(temperature=0.0, max_tokens=settings["answer_tokens"])
    clock = Clock()
    results = llm.generate([template.prompt(*pair) for pair in pairs], params, use_tqdm=False)
    measured = clock.stop()
    keys = (f"{passage_id(text)} {kind}" for text, kind in pairs)
    _save(folder, "plain", {key: result.outputs[0].text for key, result in zip(keys, results, strict=True)})
    return measured | {
        "prompts": len(results),
        "prompt_tokens": sum(len(result.prompt_token_ids) for result in results),
        "cached_tokens": sum(result.num_cached_tokens or 0 for result in results),
        "completion_tokens": sum(len(result.outputs[0].token_ids) for result in results),
        "counters": _counters(llm) if settings["counters"] else None,
    }


def run_ours(folder: Path, settings: Mapping[str, Any], way: str) -> dict[str, Any]:
    """A replica of this project, from prompts shards to completions files."""
    from benchmarks.replica_alone import complete_all, load_replica, read_answers, write_prompt_shards
    from uniner_dist.completions.engine import EngineSpec
    from uniner_dist.config.schema import ModelConfig

    shards = write_prompt_shards(folder, settings["texts"], settings["types"], settings["shards"])
    model = ModelConfig(name=settings["model"], max_tokens=settings["answer_tokens"])
    gpus = int(settings["gpu"])
    tails = way == "ours-prefix-tails"
    engine = EngineSpec("vllm", model, 2048, gpus=gpus, prefix_tails=tails, extra=settings["engine"])
    replica = load_replica(folder, engine, settings["max_in_flight"])
    clock = Clock()
    results = complete_all(replica, shards)
    measured = clock.stop()
    _save(folder, way, read_answers(folder, shards))
    totals = ("prompts", "prompt_tokens", "cached_tokens", "completion_tokens")
    counters = _counters(replica.engine._engine) if settings["counters"] else None  # type: ignore[union-attr]
    return measured | {name: sum(getattr(r, name) for r in results) for name in totals} | {"counters": counters}


class Clock:
    """Wall clock, and CPU seconds of this process and of those it started, from its making to `stop`."""

    def __init__(self) -> None:
        self._begin, self._cpu = time.time(), self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float]:
        own = psutil.Process()
        times = [sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True))]
        return times[0], sum(times[1:])

    def stop(self) -> dict[str, Any]:
        """`begin` and `end` (seconds since the epoch), CPU of the front end and of the engine's own processes."""
        front, engine = (now - then for now, then in zip(self._seconds(), self._cpu, strict=True))
        return {"begin": self._begin, "end": time.time(), "front_end_cpu_s": front, "engine_cpu_s": engine}


def _counters(engine: Any) -> dict[str, float]:
    names = ("vllm:prefix_cache_queries", "vllm:prefix_cache_hits", "vllm:num_preemptions", "vllm:prompt_tokens")
    return {metric.name: metric.value for metric in engine.get_metrics() if metric.name in names}


def _save(folder: Path, way: str, answers: Mapping[str, str]) -> None:
    (folder / f"{way}.answers.json").write_text(json.dumps(answers))


class GpuWatch:
    """Share of time in which a kernel ran, as the driver tells it; nothing without a GPU."""

    def __init__(self, gpu: bool, path: Path) -> None:
        self._path, self._process = path, None
        if gpu and shutil.which("nvidia-smi"):
            command = [
                "nvidia-smi",
                "--query-gpu=timestamp,utilization.gpu",
                "--format=csv,noheader,nounits",
                "-lms",
                "200",
            ]
            self._process = subprocess.Popen(command, stdout=path.open("w"), stderr=subprocess.DEVNULL)

    def idle_share(self, begin: float, end: float) -> float | None:
        """Idle share between two moments of the wall clock."""
        if self._process is None:
            return None
        self._process.terminate()
        self._process.wait()
        busy = [used for at, used in map(_sample, self._path.read_text().splitlines()) if begin <= at <= end]
        return 1 - sum(busy) / len(busy) / 100 if busy else None


def _sample(line: str) -> tuple[float, float]:
    stamp, _, used = line.partition(", ")
    seconds, _, fraction = stamp.partition(".")
    return time.mktime(time.strptime(seconds, "%Y/%m/%d %H:%M:%S")) + float(f"0.{fraction or 0}"), float(used or 0)


def figures(found: Mapping[str, Any], parameters: int, idle: float | None) -> dict[str, Any]:
    """What is told about a way: computed tokens are those of prompts that no cache had, and generated ones."""
    seconds = found["end"] - found["begin"]
    computed = found["prompt_tokens"] - found["cached_tokens"] + found["completion_tokens"]
    return {
        "prompts": found["prompts"],
        "seconds": seconds,
        "prompts_per_s": found["prompts"] / seconds,
        "prefix_hit_rate": found["cached_tokens"] / found["prompt_tokens"],
        "computed_tokens": computed,
        "computed_tokens_per_s": computed / seconds,
        "share_of_peak": 2 * parameters * computed / seconds / PEAK_FLOPS,
        "gpu_idle_share": idle,
        "front_end_cpu_ms_per_prompt": 1000 * found["front_end_cpu_s"] / found["prompts"],
        "engine_cpu_ms_per_prompt": 1000 * found["engine_cpu_s"] / found["prompts"],
        "counters": found["counters"],
    }


def environment(gpu: bool, in_process: bool) -> dict[str, str]:
    """For all ways the same; on CPU one thread, as a replica gets it."""
    values = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    values |= {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    values["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process or not gpu else "1"
    if not gpu:
        values |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        values |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return {**os.environ, **values}


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All ways in turn, as often as asked."""
    model = Path(options.model) if options.model else folder / "model"
    if not options.model:
        make_model(model, options.size, Path(options.tokenizer))
    parameters = count_parameters(json.loads((model / "config.json").read_text()))
    texts = make_texts(-(-options.prompts // options.types), options.text_chars)
    engine = json.loads(options.engine) | ({} if options.model else {"load_format": "dummy"})
    engine |= {"disable_log_stats": False} if options.counters else {}
    settings = {
        "model": str(model), "gpu": options.gpu, "texts": texts, "engine": engine, "counters": options.counters,
        "types": [f"type of thing {number}" for number in range(options.types)],
        "answer_tokens": options.answer_tokens, "shards": options.shards,
        "max_in_flight": options.max_in_flight,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    report: dict[str, Any] = {"parameters": parameters, "runs": []}
    for repeat in range(options.repeats):
        for way in WAYS:
            work = folder / f"{way}-{repeat}"
            work.mkdir()
            watch = GpuWatch(options.gpu, work / "gpu.csv")
            command = [sys.executable, "-m", "benchmarks.gpu", "--way", way, "--folder", str(work)]
            subprocess.run(command, check=True, env=environment(options.gpu, options.in_process), stdout=sys.stderr)
            measured = json.loads((work / f"{way}.json").read_text())
            idle = watch.idle_share(measured["begin"], measured["end"])
            report["runs"].append({"way": way, "repeat": repeat, **figures(measured, parameters, idle)})
            print(json.dumps(report["runs"][-1]), file=sys.stderr, flush=True)
        wanted, *found = (json.loads((folder / f"{way}-{repeat}/{way}.answers.json").read_text()) for way in WAYS)
        for run, got in zip(report["runs"][-len(found) :], found, strict=True):
            run["differing"] = len(differing(wanted, got))
    return report


def run_way(way: str, folder: Path) -> None:
    """One way, in this process."""
    settings = json.loads((folder.parent / "settings.json").read_text())
    measured = run_plain(folder, settings) if way == "plain" else run_ours(folder, settings, way)
    (folder / f"{way}.json").write_text(json.dumps(measured))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint's folder; default: random weights of --size")
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--tokenizer", default=str(demo.model_path()), help="folder with tokenizer.json, for --size")
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--types", type=int, default=13)
    parser.add_argument("--text-chars", type=int, default=200)
    parser.add_argument("--answer-tokens", type=int, default=4)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--max-in-flight", type=int, default=PoolConfig().max_in_flight, help="of ours")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--engine", default="{}", help="JSON of further arguments of vLLM's engine, for all ways")
    parser.add_argument("--in-process", action="store_true", help="on a GPU: the engine in the front end's process")
    parser.add_argument("--counters", action="store_true")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.gpu = shutil.which("nvidia-smi") is not None and Path("/dev/nvidia0").exists()
    return options


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    options = parse(arguments)
    if options.way:
        run_way(options.way, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        report = compare(options, Path(name))
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
