"""What the completions of a shard cost in requests to object storage; docs/operations.md says the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cloud_requests import kind
from tests.ray.conftest import make_run_in
from tests.support.clouds import Cloud, cloud, reachable
from tests.support.pool import TYPES, assert_answers, texts
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.replica import Replica
from uniner_dist.completions.work import WorkItem
from uniner_dist.storage.shards import read_shards

#: Of one shard. Prompts: listed and read. Completions: looked for (two requests where there are none, one of gcsfs)
#: and written. Cells of the store: written.
EXPECTED = {
    "s3": {"LIST": 1, "GET": 1, "HEAD": 2, "PUT": 2},
    "gs": {"GET": 2, "PUT": 2},
    "abfs": {"GET": 2, "PUT": 2},
}


@pytest.fixture(params=["s3", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gs", "abfs"))])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud(request.param) as server, reachable(server, monkeypatch) as found:
        yield found


def test_the_completions_of_a_shard_cost_few_requests(store: Cloud, tmp_path: Path) -> None:
    """A replica without its actor: reading, answering and committing are the same."""
    run = make_run_in(tmp_path, [texts(10, seed) for seed in range(4)], TYPES, workdir=f"{store.url}/counted")
    names = read_shards(run.layout).column("shard").to_pylist()
    seen: Counter[str] = Counter()

    def count(method: str, path: str) -> None:
        seen[kind(method, path)] += 1

    replica = Replica(replica_spec(run))
    replica.start()
    store.proxy.plan = count
    for name in names:
        replica.complete(WorkItem(name))
    store.proxy.plan = lambda method, path: None
    replica.stop()
    assert seen == {name: len(names) * count for name, count in EXPECTED[store.scheme].items()}
    assert_answers(run)
