"""Requests to S3 of each stage, per shard: the whole job on an S3 server on loopback, with few and with many shards.

    .venv/bin/python -m benchmarks.s3_requests

The corpus is the same both times, so the difference is what shards cost. Each cell of the table that it prints is
`per shard + per stage`.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.flaky import FlakyProxy, client_environment, flaky_s3
from uniner_dist.storage.filesystem import write_bytes

FEW, MANY = 8, 40
KINDS = ("PUT", "GET", "LIST", "HEAD", "DELETE")
Counts = dict[str, Counter[str]]


def kind(method: str, path: str) -> str:
    """What a request is called in a bill."""
    if method == "POST":
        return "DELETE"  # of several objects
    return "LIST" if method == "GET" and "list-type=" in path else method


def job(server: FlakyProxy, shards: int) -> Counts:
    """The three stages, each a command; returns its requests by kind."""
    work = f"s3://bucket/{shards}"
    common = ["--workdir", f"{work}/work"]
    first = ["--corpus", "s3://bucket/corpus", "--output", f"{work}/out", "--types", "person,location", *common]
    settings = [f"prompts.min_shards={shards}", "engine.kind=scripted", "pool.replicas=1"]
    settings += ["spark.master=local[2]", "spark.conf={spark.sql.shuffle.partitions: '2'}"]
    first += [word for setting in settings for word in ("--set", setting)]
    counts: Counts = {}
    for stage, arguments in {"prompts": first, "completions": common, "annotations": common}.items():
        seen: Counter[str] = Counter()

        def note(method: str, path: str, seen: Counter[str] = seen) -> None:
            seen[kind(method, path)] += 1

        server.plan = note
        code = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"
        subprocess.run([sys.executable, "-c", code, stage, *arguments], check=True, stdout=subprocess.DEVNULL)
        counts[stage] = seen
    return counts


def main() -> None:
    """Print the table."""
    with flaky_s3() as server:
        os.environ.update(client_environment(server, attempts=3))
        ids = [f"d{i}" for i in range(2000)]
        buffer = io.BytesIO()
        pq.write_table(pa.table({"doc_id": ids, "text": [f"{name} met Paula near Oslo." for name in ids]}), buffer)
        write_bytes("s3://bucket/corpus/part-0.parquet", buffer.getvalue())
        few, many = job(server, FEW), job(server, MANY)
    print("| stage | " + " | ".join(KINDS) + " |")
    print("|---" * (1 + len(KINDS)) + "|")
    for stage in few:
        slopes = [(many[stage][name] - few[stage][name]) / (MANY - FEW) for name in KINDS]
        fixed = [few[stage][name] - FEW * slope for name, slope in zip(KINDS, slopes, strict=True)]
        cells = [f"{slope:.1f} + {rest:.0f}" for slope, rest in zip(slopes, fixed, strict=True)]
        print(f"| {stage} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
