"""What the preflight of a corpus of very many files costs, beside pyarrow reading the same footers.

    .venv/bin/python -m benchmarks.preflight [--files 100000] [--runs 3]

Each measurement is a process of its own; imports are not counted. "preflight" is all that a command does before Spark:
it lists the corpus, reads and compares the footers, plans the reading, checks columns, output, places and model, and
pins the run with what the footers say. "again" is the next start of the same command. "pyarrow" is a list of the files
and `pyarrow.parquet.read_metadata` of each, in as many threads. The least of the runs is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "uniner_dist/demo/model"
FOLDERS = 100
_BEGIN = """
import json, os, resource, sys, time
import pyarrow.parquet as pq
from concurrent.futures import ThreadPoolExecutor
from uniner_dist.config.loading import load_config
from uniner_dist.pipeline.preflight import open_run
corpus, output, model = sys.argv[1:]
clock, processor = time.perf_counter(), time.process_time()
"""
_END = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - clock, time.process_time() - processor, peak]))
"""
_PYARROW = """
files = [os.path.join(folder, name) for folder, _, names in os.walk(corpus) for name in names]
with ThreadPoolExecutor(os.cpu_count()) as pool:
    rows = sum(pool.map(lambda file: pq.read_metadata(file).num_rows, files, chunksize=64))
"""
_PREFLIGHT = """
values = {"corpus.path": corpus, "output.path": output, "types": "person", "model.name": model}
run = open_run(load_config(None, [], values | {"corpus.keep_columns": ["lang"]}))
"""


def write_corpus(folder: Path, files: int) -> None:
    """Small files of four columns, in folders of dates; the bytes of ten files over and over."""
    contents = []
    for number in range(10):
        texts = [f"Text {number}.{row}: Marie Curie was born in Warsaw." for row in range(20)]
        columns = {"doc_id": list(range(20)), "text": texts, "lang": ["en"] * 20, "score": [0.5] * 20}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        contents.append(sink.getvalue().to_pybytes())
    for number in range(files):
        place = folder / f"day={number % FOLDERS:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"part-{number:06d}.parquet").write_bytes(contents[number % 10])


def measure(code: str, *args: str) -> tuple[float, float, float]:
    """Seconds of the clock, of the processor, and MB at most."""
    command = [sys.executable, "-c", _BEGIN + code + _END, *args]
    environment = {"PYTHONPATH": str(ROOT), "UNINER_DIST_CACHE": f"{args[1]}.cache"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment)
    clock, processor, peak = json.loads(done.stdout.splitlines()[-1])
    return clock, processor, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder / "corpus", args.files)
        found: dict[str, list[tuple[float, float, float]]] = {"pyarrow": [], "preflight": [], "again": []}
        for number in range(args.runs):
            places = (str(folder / "corpus"), str(folder / f"out-{number}"), str(MODEL))
            for what, code in (("pyarrow", _PYARROW), ("preflight", _PREFLIGHT), ("again", _PREFLIGHT)):
                found[what].append(measure(code, *places))
    least: dict[str, Any] = {what: [min(column) for column in zip(*runs, strict=True)] for what, runs in found.items()}
    print(f"{args.files:,} files, {os.cpu_count()} threads, the least of {args.runs} runs\n")
    print(
        "| | seconds | of the processor | ratio (clock) | ratio (processor) | MB at most |\n|---|---|---|---|---|---|"
    )
    for what, (clock, processor, peak) in least.items():
        ratios = f"{clock / least['pyarrow'][0]:.2f} | {processor / least['pyarrow'][1]:.2f}"
        print(f"| {what} | {clock:.1f} | {processor:.1f} | {ratios} | {peak:.0f} |")


if __name__ == "__main__":
    main()
