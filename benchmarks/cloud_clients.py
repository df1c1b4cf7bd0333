"""What a storage's client does for the same work: requests, bytes, seconds and how many requests at the same time.

    .venv/bin/python -m benchmarks.cloud_clients [s3 gs abfs]

Servers on loopback, 20 ms before each request as between machines of one region. `benchmarks.cloud_requests` counts the
requests of whole jobs; here are the steps that wait for storage, without Spark, Ray and their starts.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.cloud_requests import KINDS, kind
from tests.support.clouds import CLOUDS, Cloud, cloud
from uniner_dist.storage.filesystem import exists, find_files, read_bytes, remove, write_bytes
from uniner_dist.storage.footers import read_footers
from uniner_dist.storage.listing import Listing, list_corpus
from uniner_dist.storage.probe import probe

LATENCY_S = 0.02
FILES, SHARDS = 200, 40
SHARD = np.random.default_rng(1).bytes(1 << 20)
Row = tuple[str, Counter[str], int, int, float]


@contextmanager
def measured(store: Cloud, step: str, rows: list[Row]) -> Iterator[None]:
    """Count what a block asks of a store."""
    seen: Counter[str] = Counter()

    def note(method: str, path: str) -> None:
        seen[kind(method, path)] += 1

    store.proxy.plan, store.proxy.transferred, store.proxy.most_at_once = note, 0, 0
    begun = time.monotonic()
    yield
    rows.append((step, seen, store.proxy.transferred, store.proxy.most_at_once, time.monotonic() - begun))


def work(store: Cloud) -> list[Row]:
    """The steps, in the order of a run."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"doc_id": ["a"], "text": ["b"]}), buffer)
    for number in range(FILES):
        name = f"day={number % 5}/{number:06}" + (".parquet" if number % 2 else "_0")
        write_bytes(f"{store.url}/corpus/{name}", buffer.getvalue())
    shards = [f"{store.url}/shards/{number:05}.parquet" for number in range(SHARDS)]
    store.proxy.latency_s = LATENCY_S
    rows: list[Row] = []
    found: list[Listing] = []

    def listed() -> None:
        found.append(list_corpus(f"{store.url}/corpus"))

    steps: dict[str, Callable[[], object]] = {
        "the first look at a storage": lambda: probe(f"{store.url}/probed"),
        f"{FILES} files listed, half without an ending": listed,
        f"their {FILES} footers": lambda: read_footers(found[0]),
        f"{SHARDS} shards of 1 MB committed": lambda: [write_bytes(path, SHARD, exclusive=True) for path in shards],
        f"{SHARDS} shards looked for": lambda: [exists(path) for path in shards],
        f"{SHARDS} shards read": lambda: [read_bytes(path) for path in shards],
        f"a folder of {FILES} removed": lambda: remove(f"{store.url}/corpus"),
    }
    for step, call in steps.items():
        with measured(store, step, rows):
            call()
    assert (len(find_files(f"{store.url}/shards")), exists(f"{store.url}/corpus")) == (SHARDS, False)
    return rows


def main() -> None:
    """Print one table; each store in a process of its own, since clients read their environment when imported."""
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        with cloud(sys.argv[2]) as store:
            os.environ.update(store.environment)
            print(json.dumps(work(store)))
        return
    print("| step | store | " + " | ".join(KINDS) + " | MB | at once | s |")
    print("|---" * (5 + len(KINDS)) + "|")
    results = {scheme: _alone(scheme) for scheme in sys.argv[1:] or CLOUDS}
    for number, (step, *_) in enumerate(next(iter(results.values()))):
        for scheme, rows in results.items():
            _, seen, moved, at_once, seconds = rows[number]
            counts = " | ".join(str(seen.get(name, "")) for name in KINDS)
            print(f"| {step} | {scheme} | {counts} | {moved / 1e6:.1f} | {at_once} | {seconds:.1f} |")


def _alone(scheme: str) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks.cloud_clients", "--one", scheme]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


if __name__ == "__main__":
    main()
