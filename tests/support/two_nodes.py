"""A Ray cluster of several nodes on this host, in a process of its own: nodes come and go while the pool works.

`python -m tests.support.two_nodes FOLDER` plays all scenarios and prints a JSON of what happened in each;
`test_nodes.py` asserts on it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # everything on 127.0.0.1
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_USAGE_STATS_ENABLED": "0",
    # The gcs learns of a dead node after 2 s instead of 15 s.
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}

from ray.cluster_utils import Cluster

import uniner_dist.cluster.watch
from tests.ray.conftest import make_run_in
from tests.support.pool import TYPES, assert_answers, texts
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.stage import complete_prompts, open_pool
from uniner_dist.completions.work import ReplicaState
from uniner_dist.errors import UninerError
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Attempt
from uniner_dist.storage.shards import committed_shards

#: Room for one CPU replica by memory, for several by cores.
NODE = {"num_cpus": 2, "memory": 3 * 2**30, "object_store_memory": 80 * 2**20}


def add_node(cluster: Cluster, **more: Any) -> Any:
    """One more node; returns Ray's object, whose `unique_id` or `node_id` names it."""
    return cluster.add_node(**{**NODE, **more}, include_dashboard=False)


@contextmanager
def two_nodes(cluster: Cluster) -> Iterator[tuple[Any, Any]]:
    """Two fresh nodes; when the block ends no node is left but the head."""
    yield add_node(cluster), add_node(cluster)
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node, allow_graceful=False)


def ready_nodes(pool: Pool) -> set[str]:
    """Nodes that have a replica which works."""
    return {slot.node for slot in pool.slots if slot.state in (ReplicaState.READY, ReplicaState.BUSY)}


def wait_until(happened: Callable[[], bool], seconds: float = 1200) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)


def come_and_go(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Two nodes; one is killed when some shards are done, then another joins."""
    with two_nodes(cluster) as nodes:
        return _come_and_go(cluster, folder, *nodes)


def _come_and_go(cluster: Cluster, folder: Path, first: Any, second: Any) -> dict[str, Any]:
    run = make_run_in(
        folder,
        [texts(20, seed) for seed in range(40)],
        TYPES,
        pool={"replicas": "auto"},
        engine={"extra": {"slow_s": 0.03, "batch": 4}},
        ray={"address": cluster.address},
    )
    seen: dict[str, Any] = {}

    def disturb(pool: Pool) -> None:
        wait_until(lambda: len(ready_nodes(pool)) == 2 and len(committed_shards(run.layout)) >= 2)
        seen["nodes_at_first"] = len(ready_nodes(pool))
        cluster.remove_node(second, allow_graceful=False)
        wait_until(lambda: pool.summary.events[-1][1].endswith("lost with its node") or pool.summary.deaths > 0)
        seen["committed_when_node_was_lost"] = len(committed_shards(run.layout))
        third = add_node(cluster)
        wait_until(lambda: third.node_id in ready_nodes(pool))
        seen["new_node_has_a_replica"] = third.node_id in ready_nodes(pool)
        seen["first_node_has_a_replica"] = first.node_id in ready_nodes(pool)

    attempt = complete(run, disturb)
    assert_answers(run)
    return {**seen, "deaths": attempt.deaths, "events": attempt.events, "prompts": attempt.prompts}


def bad_node(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Two nodes, on one of which no engine starts."""
    with two_nodes(cluster) as (bad, good):
        return _bad_node(cluster, folder, bad, good)


def _bad_node(cluster: Cluster, folder: Path, bad: Any, good: Any) -> dict[str, Any]:
    run = make_run_in(
        folder,
        [texts(20, seed) for seed in range(20)],
        TYPES,
        pool={"replicas": 2, "backoff_s": 0.1, "max_start_failures": 2},
        engine={"extra": {"slow_s": 0.02, "batch": 4, "fail_start_node": bad.node_id}},
        ray={"address": cluster.address},
    )
    seen: dict[str, Any] = {}

    def look(pool: Pool) -> None:
        wait_until(lambda: pool.count(ReplicaState.BUSY) == 2)
        seen["busy_on"] = [slot.node == good.node_id for slot in pool.slots]

    attempt = complete(run, look)
    assert_answers(run)
    return {**seen, "start_failures": attempt.start_failures, "events": attempt.events}


def head_dies(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """The head of a cluster that we joined dies under the pool."""
    add_node(cluster)
    run = make_run_in(
        folder,
        [texts(20, seed) for seed in range(40)],
        TYPES,
        engine={"extra": {"slow_s": 0.05, "batch": 4}},
        ray={"address": cluster.address},
    )

    def kill_head(pool: Pool) -> None:
        wait_until(lambda: len(committed_shards(run.layout)) >= 1)
        cluster.head_node.kill_gcs_server(check_alive=False)

    try:
        complete(run, kill_head)
    except UninerError as error:
        return {"error": str(error), "code": error.exit_code}
    return {"error": None}


def complete(run: Run, beside: Callable[[Pool], None]) -> Attempt:
    """Complete a run in a thread while something else happens to its pool (Ray starts nodes in a main thread only)."""
    with open_pool(run) as pool, ThreadPoolExecutor(1) as thread:
        attempt = thread.submit(complete_prompts, run, pool)
        beside(pool)
        return attempt.result()


#: In this order: the last one leaves no cluster to play on.
SCENARIOS = (come_and_go, bad_node, head_dies)


def main() -> None:
    """Play all scenarios; one that fails is told in words and does not keep the others from being played."""
    # A head that cannot be reached counts as gone after 8 s instead of 40 s.
    uniner_dist.cluster.watch._UNREACHABLE_S = 8.0
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        results = {}
        for scenario in SCENARIOS:
            folder = Path(sys.argv[1]) / scenario.__name__
            try:
                results[scenario.__name__] = scenario(cluster, folder)
            except Exception:
                results[scenario.__name__] = {"failed": traceback.format_exc()}
        print(json.dumps(results), flush=True)
    finally:
        cluster.shutdown()
    os._exit(0)  # the hooks of killed nodes print stack traces at a normal exit


if __name__ == "__main__":
    main()
