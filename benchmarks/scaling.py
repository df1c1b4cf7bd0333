"""The pool on a virtual clock: `python -m benchmarks.scaling --replicas 500 --shards 100000`.

The supervisor of the product, `uniner_dist.completions.pool.Pool`, runs unchanged; only what it talks to is simulated:
Ray (its few calls, on a virtual clock) and replicas that take as long for a shard as its tokens need. Shards have
skewed lengths, nodes come and go, engines die. Prints, for each number of replicas: the share of time that loaded
replicas work until nothing is left to hand out, the time from there to the end in shards, the work lost by deaths,
and what the supervisor itself costs in real CPU time a shard and in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import ray.exceptions

from uniner_dist.completions import placement
from uniner_dist.completions.decisions import order_shards
from uniner_dist.completions.pool import pool, replica_set, settling
from uniner_dist.completions.replica.protocol import PlacementInfo, StartInfo, WorkResult
from uniner_dist.completions.work import Shard as ManifestShard
from uniner_dist.completions.work import WorkItem
from uniner_dist.config.schema import PoolConfig

NEVER = float("inf")
TOKENS_PER_PROMPT = 90


class Clock:
    """Stands in for the `time` module of the pool: seconds pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(eq=False)
class Promise:
    """An object reference: a value, or an error, from a virtual time on."""

    at: float
    value: Any = None
    error: Exception | None = None


@dataclass
class World:
    """What is simulated, and what is measured on the way.

    Attributes:
        tokens: shard → tokens; the shard's time is these over `tokens_per_s`.
        mean_life_s: mean time between deaths of one replica; spot nodes are reclaimed every few hours.
        joins: virtual times at which a node of eight GPUs joins, beside those there from the start.
    """

    tokens: dict[str, int]
    nodes: int
    tokens_per_s: float = 15_000.0
    load_s: float = 90.0
    mean_life_s: float = NEVER
    joins: tuple[float, ...] = ()
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    handed_out: dict[str, float] = field(default_factory=dict)
    ready_spans: list[tuple[float, float]] = field(default_factory=list)  # of each replica: loaded, gone
    busy_spans: list[tuple[float, float]] = field(default_factory=list)
    lost_s: float = 0.0  # engine seconds on shards that were not finished
    deaths: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def node_names(self) -> Iterable[str]:
        joined = sum(at <= self.clock.now for at in self.joins)
        return (f"node-{number:05d}" for number in range(self.nodes + joined))


class Actor:
    """A replica: loads, works on its shards one behind the other, dies at its time."""

    def __init__(self, world: World) -> None:
        self._world, self._free_at, self._done = world, 0.0, 0
        life = world.rng.expovariate(1 / world.mean_life_s) if world.mean_life_s < NEVER else NEVER
        self.dies_at = world.clock.now + world.load_s + life
        self._ready_at = NEVER
        self._node = world.rng.choice(list(world.node_names()))
        self._works: list[tuple[float, float]] = []
        self.placement_info = self._method(lambda: PlacementInfo(self._node, "simulated", 1))
        self.start = self._method(self._start)
        self.progress = self._method(self._progress)
        self.complete = SimpleNamespace(remote=self._complete)
        self.merge = SimpleNamespace(remote=lambda work, ranges, killers: self._run(work, 1.0))

    def _method(self, call: Callable[[], Any]) -> Any:
        return SimpleNamespace(remote=lambda: self._at(self._world.clock.now, call()))

    def _at(self, when: float, value: Any) -> Promise:
        if when >= self.dies_at:
            return Promise(self.dies_at, error=ray.exceptions.ActorDiedError())
        return value if isinstance(value, Promise) else Promise(when, value)

    def _start(self) -> Promise:
        self._ready_at = self._free_at = self._world.clock.now + self._world.load_s
        return Promise(self._ready_at, StartInfo(self._world.load_s, "simulated", None))

    def _progress(self) -> dict[str, int]:
        return {"finished_prompts": self._done, "tokens": int(self._world.clock.now)}

    def _complete(self, work: WorkItem) -> Promise:
        """A shard, or a range of one that saw two deaths and is suspected."""
        tokens = self._world.tokens[work.shard]
        share = 1.0 if work.stop is None else (work.stop - work.start) * TOKENS_PER_PROMPT / tokens
        return self._run(work, share * tokens / self._world.tokens_per_s)

    def _run(self, work: WorkItem, seconds: float) -> Promise:
        world = self._world
        world.handed_out[work.shard] = world.clock.now
        begin = max(world.clock.now, self._free_at)
        end = self._free_at = begin + seconds
        self._works.append((begin, end))
        self._done += 1
        return self._at(end, WorkResult(1, 0, 0, 0, {}, seconds, True))

    def gone(self) -> None:
        """Taken away, by the pool or by its death; settle the accounts."""
        world, now = self._world, min(self._world.clock.now, self.dies_at)
        if self._ready_at <= now:
            world.ready_spans.append((self._ready_at, now))
        for begin, end in self._works:
            world.busy_spans.append((begin, min(end, now)))
            if begin < now < end:
                world.lost_s += now - begin
        world.deaths += self.dies_at <= self._world.clock.now
        self._works.clear()


class Ray:
    """The calls of Ray that the pool makes, on a virtual clock."""

    exceptions = ray.exceptions

    def __init__(self, world: World) -> None:
        self._world = world

    def remote(self, _: Any) -> Any:
        create = SimpleNamespace(remote=lambda spec: Actor(self._world))
        return SimpleNamespace(options=lambda **options: create)

    def nodes(self) -> list[dict[str, Any]]:
        resources = {"GPU": 8.0, "CPU": 64.0, "memory": 1e12}
        raylet = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 0}
        names = self._world.node_names()
        return [{"NodeID": name, "Alive": True, "Resources": resources, **raylet} for name in names]

    def wait(
        self, promises: list[Promise], num_returns: int, timeout: float, **_: Any
    ) -> tuple[list[Promise], list[Any]]:
        clock = self._world.clock
        if timeout:
            clock.now = min(max(clock.now, min(promise.at for promise in promises)), clock.now + timeout)
        return [promise for promise in promises if promise.at <= clock.now][:num_returns], []

    def get(self, promise: Promise) -> Any:
        if promise.error is not None:
            raise promise.error
        return promise.value

    def kill(self, actor: Actor, **_: Any) -> None:
        actor.gone()


def skewed_shards(count: int, seed: int) -> list[ManifestShard]:
    """Shards of a million tokens, most of them nearly full; one in fifty is a tenth or three times as long."""
    rng = random.Random(seed)
    shards = []
    for number in range(count):
        roll = rng.random()
        factor = 0.1 if roll < 0.01 else 3.0 if roll < 0.02 else rng.uniform(0.85, 1.0)
        tokens = int(1_000_000 * factor)
        shards.append(ManifestShard(f"{number:08d}", tokens // TOKENS_PER_PROMPT, tokens // TOKENS_PER_PROMPT, tokens))
    return shards


def simulate(replicas: int, shards: int, mean_life_s: float, growing: bool, seed: int = 1) -> dict[str, Any]:
    """One job; all times but those with `cpu` in their names are virtual."""
    manifest = skewed_shards(shards, seed)
    nodes = max(1, replicas // 8)
    joins = tuple(300.0 + 60 * number for number in range(nodes // 2)) if growing else ()
    there = nodes - len(joins)
    world = World(
        {s.name: s.estimated_tokens for s in manifest}, there, mean_life_s=mean_life_s, joins=joins, seed=seed
    )
    config = PoolConfig(gpus_per_replica=1, shards_in_flight=2, replicas="auto" if replicas >= 8 else replicas)
    begun_cpu = time.process_time()
    with ExitStack() as patches:
        # The modules' own names are replaced, so that nothing else of the process lives on the virtual clock.
        for module in (pool, replica_set, settling, placement):
            patches.enter_context(patch.object(module, "time", world.clock))
        patches.enter_context(
            patch.object(placement, "_answers", lambda node: True)
        )  # a node of a dead replica is asked
        supervisor = pool.Pool(Ray(world), config, SimpleNamespace(), {})  # type: ignore[arg-type]
        supervisor.run(order_shards(manifest))
        supervisor.close()
    cpu_s = time.process_time() - begun_cpu
    end, last = world.clock.now, max(world.handed_out.values())

    def until_last(spans: list[tuple[float, float]]) -> float:
        return sum(max(0.0, min(stop, last) - begin) for begin, stop in spans)

    mean_shard_s = sum(world.tokens.values()) / len(manifest) / world.tokens_per_s
    return {
        "replicas": replicas,
        "shards": shards,
        "mean_life_h": None if mean_life_s == NEVER else mean_life_s / 3600,
        "growing": growing,
        "hours": end / 3600,
        "busy": until_last(world.busy_spans) / until_last(world.ready_spans),
        "tail_shards": (end - last) / mean_shard_s,
        "deaths": world.deaths,
        "lost": world.lost_s / sum(stop - begin for begin, stop in world.busy_spans),
        "done_shards": supervisor.queue.finished,
        "cpu_ms_per_shard": 1000 * cpu_s / shards,
        "supervisor_share_of_a_core": cpu_s / end,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| replicas | shards | mean life | busy | tail, shards | deaths | lost | CPU ms a shard | peak MiB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        life = "-" if row["mean_life_h"] is None else f"{row['mean_life_h']:g} h"
        cells = (f"{row['busy']:.2%}", f"{row['tail_shards']:.2f}", str(row["deaths"]), f"{row['lost']:.2%}")
        cost = (f"{row['cpu_ms_per_shard']:.2f}", f"{row['peak_mib']:.0f}")
        lines.append(" | ".join((f"| {row['replicas']}", f"{row['shards']:,}", life, *cells, *cost)) + " |")
    return "\n".join(lines)


def put_table(page: Path, words: str) -> None:
    """Replace what stands between the two comments of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- table -->\n")
    page.write_text(
        f"{before}<!-- table -->\n{words}\n<!-- end -->{rest.partition('<!-- end -->')[2]}", encoding="utf-8"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", default="1,8,64,500", help="numbers of replicas, each with all shards")
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--page", type=Path, help="put the table into this page, between its two comments")
    parser.add_argument("--output", type=Path, help="JSON of all rows")
    options = parser.parse_args()
    rows = []
    for replicas in map(int, options.replicas.split(",")):
        shards = min(options.shards, replicas * 2000)
        for mean_life_s, growing in ((NEVER, False), (4 * 3600, True)):
            rows.append(simulate(replicas, shards, mean_life_s, growing and replicas >= 16))
            print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if options.page:
        put_table(options.page, table(rows))
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
