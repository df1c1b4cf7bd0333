"""What a shard costs in requests to object storage; docs/operations.md says the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.s3_requests import kind
from tests.ray.conftest import make_run_in
from tests.ray.test_pool import TYPES, assert_answers, complete, texts
from tests.storage.flaky import FlakyProxy
from uniner_dist.storage.shards import read_shards

pytestmark = pytest.mark.ray


def test_the_completions_of_a_shard_cost_six_requests(ray: Any, s3: FlakyProxy, tmp_path: Path) -> None:
    shards = [texts(10, seed) for seed in range(6)]
    run = make_run_in(tmp_path, shards, TYPES, workdir="s3://bucket/counted")
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def count(method: str, path: str) -> None:
        if shard := re.search(r"\d{5}-\d{4}", path):
            seen[shard[0]][kind(method, path)] += 1

    s3.plan = count
    complete(run)
    s3.plan = lambda method, path: None
    names = read_shards(run.layout).column("shard").to_pylist()
    # Prompts: listed and read. Completions: looked for (HEAD, then a listing) and written. The store's cells: written.
    assert seen == {name: {"LIST": 2, "GET": 1, "HEAD": 1, "PUT": 2} for name in names}
    assert_answers(run)
