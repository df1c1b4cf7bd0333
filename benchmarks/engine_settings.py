"""Settings of one replica against each other: `python -m benchmarks.engine_settings "" max_in_flight=128`.

Each argument is a variant: settings over the defaults of this project, with `;` between them and values in YAML. The
empty one is the defaults, and the first is what the others are compared with. Known are `max_in_flight`,
`shards_in_flight`, `block_size`, `prefix_tails`, `in_process`, and two that the project has no setting for:
`stop_empty` (false: answers of the empty list go on to the end of the turn) and `detokenize` (text and an output from
vLLM at every step, which nobody reads). Anything else is an argument of vLLM's engine. All variants answer the same
prompts without pool and Ray, each in a process of its own, in turn, and all again for every repeat. Prints a line of
JSON for each run and a table.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.on_gpu.watch import Clock
from benchmarks.throughput.compare import cell, differing, spread
from benchmarks.throughput.ways import environment, parse_settings
from uniner_dist import demo

#: Of the table: measure, head, digits.
COLUMNS = (
    ("prompts_per_s", "prompts/s", 0), ("cpu_ms_per_prompt", "CPU ms per prompt", 2),
    ("model_ms_per_prompt", "of it the model", 2), ("around_ms_per_prompt", "of it around the engine", 3),
    ("steps", "steps", 0),
    ("generated_tokens", "tokens generated", 0), ("computed_tokens", "prompt tokens computed", 0),
    ("memory_mib", "MiB at the end", 0), ("differing", "other answers", 0),
)  # fmt: skip


def run_variant(folder: Path, words: str) -> dict[str, Any]:
    """One variant, in this process; the prompts stand in the folder above."""
    import msgspec
    from vllm.sampling_params import RequestOutputKind

    from benchmarks.replica_alone import complete_all, load_replica, read_answers, write_prompt_shards
    from uniner_dist.completions.engine import EngineSpec
    from uniner_dist.completions.replica import actor
    from uniner_dist.config.schema import ModelConfig, PoolConfig

    settings = parse_settings(words)
    workload = json.loads((folder.parent / "workload.json").read_text())
    shards = write_prompt_shards(folder, workload["texts"], workload["types"], workload["shards"])
    settings.pop("in_process", None)
    changes: dict[str, Any] = {}
    if settings.pop("detokenize", False):
        changes = {"detokenize": True, "output_kind": RequestOutputKind.CUMULATIVE}
    stop_empty, block_size = settings.pop("stop_empty", True), settings.pop("block_size", None)
    max_in_flight = settings.pop("max_in_flight", PoolConfig().max_in_flight)
    at_a_time = settings.pop("shards_in_flight", PoolConfig().shards_in_flight)
    prefix_tails = settings.pop("prefix_tails", None)
    engine = EngineSpec(
        "vllm", ModelConfig(name="demo"), 2048, block_size=block_size, prefix_tails=prefix_tails, extra=settings
    )
    replica = load_replica(folder, engine, max_in_flight)
    loaded: Any = replica.engine
    if not stop_empty:
        changes |= {"stop_token_ids": []}
    loaded._params = msgspec.structs.replace(loaded._params, **changes)
    steps = _timed(loaded, "step")
    around = [_timed(actor, name) for name in ("assemble", "completions_table")]
    in_process = os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    forward = _timed(_model(loaded), "forward") if in_process else []
    clock = Clock()
    results = complete_all(replica, shards, at_a_time)
    clocked = clock.stop()
    (folder / "answers.json").write_text(json.dumps(read_answers(folder, shards)))
    own = psutil.Process()
    prompts, seconds = sum(r.prompts for r in results), clocked["end"] - clocked["begin"]
    return {
        "variant": words,
        "load": round(os.getloadavg()[0], 1),
        "prompts_per_s": prompts / seconds,
        "cpu_ms_per_prompt": 1000 * (clocked["front_end_cpu_s"] + clocked["engine_cpu_s"]) / prompts,
        "model_ms_per_prompt": 1000 * sum(forward) / prompts,  # 0: the engine is a process apart
        "around_ms_per_prompt": 1000 * sum(map(sum, around)) / prompts,  # from Arrow to tokens and back
        "steps": len(steps),
        "generated_tokens": sum(r.completion_tokens for r in results),
        "computed_tokens": sum(r.prompt_tokens - r.cached_tokens for r in results),
        "memory_mib": sum(p.memory_info().rss for p in (own, *own.children(recursive=True))) / 2**20,
    }


def _model(engine: Any) -> Any:
    """The module of an engine in this process."""
    return engine._engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner.model


def _timed(owner: Any, name: str) -> list[float]:
    """Grows with every call of a method from now on, by the CPU seconds of its thread."""
    seconds: list[float] = []
    method = getattr(owner, name)

    @functools.wraps(method)  # vLLM looks at the signature of the model's
    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.thread_time()
        try:
            return method(*arguments, **named)
        finally:
            seconds.append(time.thread_time() - begun)

    setattr(owner, name, timed)
    return seconds


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Medians by variant, with the range where there is one."""
    lines = [f"| variant | {' | '.join(head for _, head, _ in COLUMNS)} |", "|---" + "|---:" * len(COLUMNS) + "|"]
    for variant in dict.fromkeys(run["variant"] for run in runs):
        own = [run for run in runs if run["variant"] == variant]
        cells = [cell(spread([run[name] for run in own]), digits) for name, _, digits in COLUMNS]
        lines.append(f"| {variant or 'defaults'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every variant in turn, as often as asked."""
    runs: list[dict[str, Any]] = []
    for repeat in range(options.repeats):
        for number, words in enumerate(options.variants):
            work = folder / f"{repeat}-{number}"
            work.mkdir()
            env = environment(kv_cache_gib=1)
            if parse_settings(words).get("in_process") is False:
                env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
            command = [sys.executable, "-m", "benchmarks.engine_settings", words, "--folder", str(work)]
            subprocess.run(command, check=True, env=env, stdout=sys.stderr)
            wanted, found = (json.loads((w / "answers.json").read_text()) for w in (folder / f"{repeat}-0", work))
            run = json.loads((work / "run.json").read_text())
            runs.append({"repeat": repeat, **run, "differing": len(differing(wanted, found))})
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return runs


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", help="settings, such as 'max_in_flight=128;block_size=64'")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.folder:
        run = run_variant(options.folder, options.variants[0])
        (options.folder / "run.json").write_text(json.dumps(run))
        return
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "workload.json").write_text(json.dumps(_workload(options)))
        runs = compare(options, Path(name))
    print(table(runs))
    if options.output:
        options.output.write_text(json.dumps(runs, indent=1) + "\n")


def _workload(options: argparse.Namespace) -> dict[str, Any]:
    import pyarrow.dataset as pads

    from benchmarks.throughput.workload import choose_texts, choose_types

    texts = pads.dataset(demo.corpus_path(), partitioning="hive").to_table(columns=["text"])["text"].to_pylist()
    types = choose_types(options.prompts)
    return {
        "texts": choose_texts(texts, -(-options.prompts // len(types))), "types": types,
        "shards": options.shards,
    }  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
