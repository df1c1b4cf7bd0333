"""What the completions of a shard cost in requests to object storage; docs/operations.md says the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.cloud_requests import kind
from tests.ray.conftest import make_run_in
from tests.support.flaky import FlakyProxy
from tests.support.pool import TYPES, assert_answers, texts
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.replica import Replica
from uniner_dist.completions.work import WorkItem
from uniner_dist.storage.shards import read_shards


def test_the_completions_of_a_shard_cost_six_requests(s3: FlakyProxy, tmp_path: Path) -> None:
    """A replica without its actor: reading, answering and committing are the same."""
    run = make_run_in(tmp_path, [texts(10, seed) for seed in range(4)], TYPES, workdir="s3://bucket/counted")
    names = read_shards(run.layout).column("shard").to_pylist()
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def count(method: str, path: str) -> None:
        if shard := re.search(r"\d{5}-\d{4}", path):
            seen[shard[0]][kind(method, path)] += 1

    replica = Replica(replica_spec(run))
    replica.start()
    s3.plan = count
    for name in names:
        replica.complete(WorkItem(name))
    s3.plan = lambda method, path: None
    replica.stop()
    # Prompts: listed and read. Completions: looked for (HEAD, then a listing) and written. The store's cells: written.
    assert seen == {name: {"LIST": 2, "GET": 1, "HEAD": 1, "PUT": 2} for name in names}
    assert_answers(run)
