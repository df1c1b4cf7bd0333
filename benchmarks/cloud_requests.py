"""Requests, bytes and seconds of each stage on object storage: the whole job on servers on loopback, three clients.

    .venv/bin/python -m benchmarks.cloud_requests [s3 gs abfs]

The corpus is the same with few and with many shards, so the difference is what shards cost. Each cell of the first
table that it prints is `per shard + per stage`. Seconds are those of the run with many shards; servers on loopback have
no latency of a network, so they show only what a client does itself.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.clouds import CLOUDS, Cloud, cloud
from uniner_dist.storage.filesystem import write_bytes

FEW, MANY = 8, 40
KINDS = ("PUT", "GET", "LIST", "HEAD", "DELETE")


@dataclass
class Cost:
    """What one stage took: requests by kind, bytes on the wire both ways, seconds from start to exit."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    seconds: float = 0.0


def kind(method: str, path: str) -> str:
    """What a request is called in a bill, for any of the three stores.

    Args:
        path: with its query. S3 lists with `list-type`, Google with `/o?`, Azure with `comp=list`. A POST is a batch of
            deletions on S3 and an upload on Google.
    """
    if method == "POST":
        return "PUT" if "/upload/" in path else "DELETE"
    lists = "list-type=" in path or "comp=list" in path or path.split("?")[0].endswith("/o")
    return "LIST" if method == "GET" and lists else method


def job(store: Cloud, shards: int) -> dict[str, Cost]:
    """The three stages, each a command; returns what each took."""
    work = f"{store.url}/{shards}"
    common = ["--workdir", f"{work}/work"]
    first = ["--corpus", f"{store.url}/corpus", "--output", f"{work}/out", "--types", "person,location", *common]
    settings = [f"prompts.min_shards={shards}", "engine.kind=scripted", "pool.replicas=1"]
    settings += ["spark.master=local[2]", "spark.conf={spark.sql.shuffle.partitions: '2'}"]
    first += [word for setting in settings for word in ("--set", setting)]
    costs: dict[str, Cost] = {}
    later = [*common, "--trust-workdir"]
    for stage, arguments in {"prompts": first, "completions": later, "annotations": later}.items():
        costs[stage] = cost = Cost()

        def note(method: str, path: str, cost: Cost = cost) -> None:
            cost.requests[kind(method, path)] += 1

        store.proxy.plan = note
        store.proxy.transferred, begun = 0, time.monotonic()
        code = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"
        subprocess.run([sys.executable, "-c", code, stage, *arguments], check=True, stdout=subprocess.DEVNULL)
        cost.bytes, cost.seconds = store.proxy.transferred, time.monotonic() - begun
    return costs


def main() -> None:
    """Print both tables."""
    results: dict[str, tuple[dict[str, Cost], dict[str, Cost]]] = {}
    ids = [f"d{i}" for i in range(2000)]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"doc_id": ids, "text": [f"{name} met Paula near Oslo." for name in ids]}), buffer)
    for scheme in sys.argv[1:] or CLOUDS:
        with cloud(scheme) as store:
            os.environ.update(store.environment)
            write_bytes(f"{store.url}/corpus/part-0.parquet", buffer.getvalue())
            results[scheme] = job(store, FEW), job(store, MANY)
    print("| store | stage | " + " | ".join(KINDS) + " |")
    print("|---" * (2 + len(KINDS)) + "|")
    for scheme, (few, many) in results.items():
        for stage in few:
            slopes = [(many[stage].requests[name] - few[stage].requests[name]) / (MANY - FEW) for name in KINDS]
            fixed = [few[stage].requests[name] - FEW * slope for name, slope in zip(KINDS, slopes, strict=True)]
            cells = [f"{slope:.1f} + {rest:.0f}" for slope, rest in zip(slopes, fixed, strict=True)]
            print(f"| {scheme} | {stage} | " + " | ".join(cells) + " |")
    print(f"\n| store | stage | requests, {MANY} shards | MB | s |\n|---|---|---|---|---|")
    for scheme, (_, many) in results.items():
        for stage, cost in many.items():
            numbers = f"{cost.requests.total()} | {cost.bytes / 1e6:.2f} | {cost.seconds:.1f}"
            print(f"| {scheme} | {stage} | {numbers} |")


if __name__ == "__main__":
    main()
