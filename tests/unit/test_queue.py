"""The pool's decisions: hand out, suspect, bisect, give up. No Ray, no clock but those of a test."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ray.conftest import make_run_in
from uniner_dist.cluster.watch import ClusterWatch
from uniner_dist.completions import placement
from uniner_dist.completions.decisions import (
    backoff,
    gives_up_starting,
    is_stuck,
    kind_of_loss,
    never_answers,
    replicas_that_fit,
    split_range,
)
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.node_health import NodeHealth
from uniner_dist.completions.placement import Placement
from uniner_dist.completions.pool import Pool, replica_set
from uniner_dist.completions.pool.replica_set import ReplicaSet
from uniner_dist.completions.queue import PIECES, Limits, WorkQueue
from uniner_dist.completions.replica import WorkResult
from uniner_dist.completions.slots import Slot
from uniner_dist.completions.work import Loss, ReplicaState, WorkItem
from uniner_dist.config.schema import PoolConfig
from uniner_dist.errors import DrainedError, PoolError, StageError
from uniner_dist.pipeline import stages
from uniner_dist.runtime.signals import StopRequest
from uniner_dist.storage.control_files import Attempt


def _taken(queue: WorkQueue) -> WorkItem:
    item = queue.take(idle=True)
    assert item is not None
    return item


def run_to_the_end(queue: WorkQueue, prompts: dict[str, int], killers: set[tuple[str, int]]) -> tuple[dict, int]:
    """Play a pool of one replica against killer prompts; returns what each shard's merge would hold, and deaths."""
    files: dict[str, tuple[list[tuple[int, int]], list[int]]] = {}
    deaths = 0
    while queue.open:
        work = queue.take(idle=True)
        assert work is not None, "open shards, but nothing to hand out"
        if work.merge:
            files[work.shard] = (queue.ranges(work.shard), queue.poison_prompts(work.shard))
            queue.done(work)
            continue
        stop = prompts[work.shard] if work.stop is None else work.stop
        if any(shard == work.shard and work.start <= row < stop for shard, row in killers):
            deaths += 1
            assert queue.died([work]) == []
            continue
        if work.stop is None:
            files[work.shard] = ([(0, stop)], [])
        queue.done(work)
    return files, deaths


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_prompt_ends_in_one_file_and_only_killers_are_given_up(data: st.DataObject) -> None:
    prompts = data.draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 300), min_size=1))
    every = [(shard, row) for shard, count in prompts.items() for row in range(count)]
    killers = set(data.draw(st.lists(st.sampled_from(every), max_size=4)))
    queue = WorkQueue(prompts, Limits(suspect_after=2, max_crashes=2, max_attempts=1000))
    files, _ = run_to_the_end(queue, prompts, killers)
    assert set(files) == set(prompts)
    for shard, (ranges, given_up) in files.items():
        assert given_up == sorted(row for name, row in killers if name == shard)
        rows = [row for start, stop in ranges for row in range(start, stop)] + given_up
        assert sorted(rows) == list(range(prompts[shard]))


def test_one_killer_among_20000_prompts_costs_a_handful_of_deaths() -> None:
    prompts = {"a": 20_000}
    queue = WorkQueue(prompts, Limits(suspect_after=2, max_crashes=2, max_attempts=100))
    files, deaths = run_to_the_end(queue, prompts, {("a", 12_345)})
    assert files["a"][1] == [12_345]
    assert deaths <= 2 + 5 + 2


def test_a_death_without_a_second_one_is_just_a_retry() -> None:
    queue = WorkQueue({"a": 10, "b": 10}, Limits(suspect_after=2, max_crashes=2, max_attempts=10))
    first = queue.take(idle=True)
    assert first == WorkItem("a")
    assert queue.died([first]) == []
    assert queue.take(idle=False) == WorkItem("a"), "the interrupted shard comes first again"


def test_a_suspect_shard_is_only_given_to_an_idle_replica() -> None:
    queue = WorkQueue({"a": 10, "b": 10}, Limits(suspect_after=1, max_crashes=2, max_attempts=10))
    queue.died([_taken(queue)])
    assert queue.pending_alone == 1
    assert queue.take(idle=False) == WorkItem("b")
    assert queue.take(idle=False) is None
    assert queue.take(idle=True) == WorkItem("a", 0, 10)


def test_a_lost_node_blames_nobody() -> None:
    queue = WorkQueue({"a": 10}, Limits(suspect_after=1, max_crashes=1, max_attempts=1))
    for _ in range(20):
        queue.requeue([_taken(queue)])
    assert queue.deaths() == {}
    assert queue.take(idle=True) == WorkItem("a")


def test_a_shard_that_uses_up_its_attempts_is_named() -> None:
    queue = WorkQueue({"a": 10}, Limits(suspect_after=5, max_crashes=1, max_attempts=3))
    assert queue.died([_taken(queue)]) == []
    assert queue.died([_taken(queue)]) == []
    assert queue.died([_taken(queue)]) == ["shard a saw 3 deaths of its replica"]


def test_replicas_that_die_at_random_never_lose_or_repeat_a_shard() -> None:
    rng = random.Random(7)
    prompts = {f"s{i}": rng.randint(1, 50) for i in range(200)}
    queue = WorkQueue(prompts, Limits(suspect_after=3, max_crashes=50, max_attempts=10_000))
    held: list[list[WorkItem]] = [[] for _ in range(8)]
    committed: list[str] = []
    while queue.open:
        works = rng.choice(held)
        if not works or (len(works) < 2 and not works[0].alone):
            work = queue.take(idle=not works)
            if work:
                works.append(work)
        if works and rng.random() < 0.1:
            queue.died(works)
            works.clear()
        elif works and rng.random() < 0.5:
            work = works.pop(0)
            queue.done(work)
            committed += [work.shard] if work.stop is None else []
    assert sorted(committed) == sorted(prompts)


@given(st.integers(0, 1000), st.integers(1, 5000), st.integers(1, 20))
def test_a_range_is_split_without_gap_or_overlap(start: int, length: int, pieces: int) -> None:
    ranges = split_range(start, start + length, pieces)
    assert ranges[0][0] == start
    assert ranges[-1][1] == start + length
    assert all(left[1] == right[0] for left, right in itertools.pairwise(ranges))
    sizes = [stop - begin for begin, stop in ranges]
    assert len(ranges) == min(pieces, length)
    assert max(sizes) - min(sizes) <= 1
    assert PIECES > 1


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.0), (1, 1.0), (2, 2.0), (4, 8.0), (30, 60.0)])
def test_waiting_doubles_up_to_a_minute(failures: int, seconds: float) -> None:
    assert backoff(failures, 1.0) == seconds


def test_replicas_are_counted_node_by_node() -> None:
    nodes = [{"GPU": 8, "CPU": 96}, {"GPU": 3, "CPU": 96}, {"CPU": 64}]
    assert replicas_that_fit(nodes, gpus=1, cpus=1, memory=1) == 11
    assert replicas_that_fit(nodes, gpus=2, cpus=1, memory=1) == 5, "a replica never spans nodes"
    laptop = [{"CPU": 8, "memory": 7 * 2**30}]
    assert replicas_that_fit(laptop, gpus=0, cpus=1, memory=2 * 2**30) == 3, "memory is what runs out first"


def test_only_a_busy_replica_can_be_stuck() -> None:
    assert is_stuck(100, 10, limit_s=60, busy=True)
    assert not is_stuck(100, 10, limit_s=60, busy=False)
    assert not is_stuck(60, 10, limit_s=60, busy=True)


def play(queue: WorkQueue, *steps: str) -> list[str]:
    """Take works and let each end as told: "done" or "died"; returns what the last death meant."""
    reasons: list[str] = []
    for step in steps:
        work = queue.take(idle=True)
        assert work is not None
        if step == "done":
            queue.done(work)
        else:
            reasons = queue.died([work])
    return reasons


def test_the_ranges_of_a_suspect_shard_do_not_use_up_its_attempts() -> None:
    """A merge of a shard that was bisected at length may share a replica with the next killer."""
    queue = WorkQueue({"a": 2, "b": 5}, Limits(suspect_after=1, max_crashes=3, max_attempts=4))
    play(queue, "died", "died", "died", "died", "died", "done")
    merge, other = queue.take(idle=True), queue.take(idle=False)
    assert merge == WorkItem("a", merge=True)
    assert other == WorkItem("b")
    assert queue.died([merge, other]) == []
    assert queue.take(idle=True) == WorkItem("b", 0, 5)
    assert queue.take(idle=False) == WorkItem("a", merge=True)
    assert (queue.poison_prompts("a"), queue.ranges("a")) == ([0], [(1, 2)])


def test_a_merge_that_dies_again_and_again_ends_the_job() -> None:
    queue = WorkQueue({"a": 1}, Limits(suspect_after=1, max_crashes=1, max_attempts=2))
    assert play(queue, "died", "died", "died") == []
    assert play(queue, "died") == ["shard a saw 2 deaths of its replica"]


def test_a_shard_in_which_everything_kills_is_given_up() -> None:
    queue = WorkQueue({"a": 10_000}, Limits(suspect_after=2, max_crashes=2, max_attempts=3, max_poison=5))
    deaths, reasons = 0, []
    while not reasons:
        work = queue.take(idle=True)
        assert work is not None
        deaths, reasons = deaths + 1, queue.died([work])
    assert reasons == ["shard a has 6 prompts that killed their engine when run alone"]
    assert deaths < 25


def test_a_suspect_keeps_its_known_answers_in_mind() -> None:
    queue = WorkQueue({"a": 9, "b": 9}, Limits(suspect_after=1), known={"a"})
    play(queue, "died", "died")
    assert queue.take(idle=True) == WorkItem("a", 0, 1, known=True)
    assert queue.take(idle=False) == WorkItem("b")


@pytest.mark.parametrize("state", list(ReplicaState))
def test_a_lost_node_and_a_replica_that_never_loaded_blame_no_prompt(state: ReplicaState) -> None:
    assert kind_of_loss(True, state) is Loss.NODE
    loading = state in (ReplicaState.PENDING, ReplicaState.STARTING)
    assert kind_of_loss(False, state) is (Loss.START if loading else Loss.DEATH)


def test_a_node_where_replicas_fail_is_avoided_until_one_works_there() -> None:
    health = NodeHealth(limit=2)
    load = {"good": 7, "better": 1}
    assert health.choose(["bad", "good", "better"], load) is None
    health.start_failed("bad")
    health.started("bad")
    health.start_failed("bad")
    assert health.quarantined == frozenset(), "only failures in a row count"
    health.start_failed("bad")
    assert health.quarantined == {"bad"}
    assert health.choose(["bad", "good", "better"], load) == "better"
    assert health.choose(["bad"], load) is None, "nowhere else to go"
    health.started("bad")
    assert health.quarantined == frozenset()


def test_a_node_that_kills_its_engines_is_avoided() -> None:
    health = NodeHealth(limit=2)
    for _ in range(9):
        health.died("a", [WorkItem("s", 0, 1)])
        health.died("b", [WorkItem("s"), WorkItem("t")])
        health.started("b")
    assert health.quarantined == {"b"}
    health.worked("b")
    assert health.quarantined == frozenset()


def test_start_ups_may_fail_for_ever_beside_a_replica_that_works() -> None:
    assert gives_up_starting(3, limit=3, ready=0)
    assert not gives_up_starting(2, limit=3, ready=0)
    assert not gives_up_starting(5000, limit=3, ready=1)
    assert backoff(5000, 1.0) == 60.0


def test_an_engine_that_never_answered_is_not_blamed_on_prompts() -> None:
    assert never_answers(10, limit=10, answered=False)
    assert not never_answers(9, limit=10, answered=False)
    assert not never_answers(500, limit=10, answered=True)


# -- with a clock and a cluster of the test's own --------------------------------------------------------------------


class _Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_wait_for_room_is_counted_from_the_run_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted call has left replicas that held work, and the next call comes much later."""
    clock, run = _Clock(), make_run_in(tmp_path, [["Paula"]], ["person"])
    monkeypatch.setattr(replica_set, "time", clock)
    ray = SimpleNamespace(kill=lambda actor, no_restart: None, cluster_resources=lambda: {"CPU": 4.0})
    replicas = ReplicaSet(ray, PoolConfig(start_timeout_s=900), replica_spec(run), {})
    replicas.slots.append(Slot(0, None, 0.0, state=ReplicaState.BUSY, held={"reference": WorkItem("a")}))
    replicas.check_room(clock.now)
    clock.now = 2000.0
    replicas.begin(run.layout, run.store)
    assert replicas.slots == []
    replicas.slots.append(Slot(1, None, clock.now))
    replicas.check_room(2900.0)
    with pytest.raises(PoolError, match="no replica found room for 900 s"):
        replicas.check_room(2901.0)


class _Nodes:
    """Stands in for Ray: one node that its gcs calls alive, whose raylet takes connections or not."""

    def __init__(self) -> None:
        self._port = 0
        self._socket: socket.socket | None = None

    def listen(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._port = self._socket.getsockname()[1]

    def fall_silent(self) -> None:
        assert self._socket is not None
        self._socket.close()

    def nodes(self) -> list[dict[str, Any]]:
        address = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": self._port}
        return [{"NodeID": "node", "Alive": True, "Resources": {}, **address}]


@pytest.mark.parametrize("seen_by", ["is_gone", "placed"])
def test_a_node_that_was_silent_once_counts_as_lost_when_it_is_lost_later(
    seen_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ray = _Clock(), _Nodes()
    monkeypatch.setattr(placement, "time", clock)
    place = Placement(ray, PoolConfig(), None, {})  # type: ignore[arg-type]
    ray.listen()
    assert not place.is_gone("node")
    ray.fall_silent()
    assert place.is_gone("node")
    ray.listen()
    getattr(place, seen_by)("node")
    ray.fall_silent()
    clock.now = 1000.0
    assert place.is_gone("node")
    place.placed("node")
    clock.now = 1060.0
    assert not place.is_gone("node"), "only we cannot reach it: deaths count again"


@pytest.mark.parametrize("finder", ["main", "watch"])
def test_a_cluster_that_one_thread_found_lost_stays_lost_for_the_other(
    finder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them looks before the loss, and tells what it saw after the other has told the loss."""
    monkeypatch.setattr(ClusterWatch, "current", None)
    monkeypatch.setattr("uniner_dist.cluster.watch._LOOK_S", 0.01)
    watch_looks, main_looked = threading.Event(), threading.Event()
    main = threading.current_thread()

    def look(watch: ClusterWatch) -> str | None:
        if threading.current_thread() is main:
            while finder == "watch" and watch.lost is None:
                pass
            return "lost" if finder == "main" else None
        watch_looks.set()
        main_looked.wait()
        return None

    monkeypatch.setattr(ClusterWatch, "_look_at_processes", look)
    monkeypatch.setattr(ClusterWatch, "_look_at_remote", lambda watch: "lost" if finder == "watch" else None)
    before = set(threading.enumerate())
    watch = ClusterWatch("auto")
    [thread] = set(threading.enumerate()) - before
    try:
        assert watch_looks.wait(1200)
        if finder == "watch":
            main_looked.set()
            watch.check()
        else:
            with pytest.raises(StageError, match="lost"):
                watch.check()
        watch.unattended()
    finally:
        main_looked.set()
        watch._done.set()
        thread.join()
    assert watch.lost == "lost"


@pytest.mark.parametrize("shards", [1, 2])
def test_a_stop_while_the_last_shard_is_finished_is_no_interruption(shards: int, tmp_path: Path) -> None:
    """One replica that holds one shard when the stop is requested, and finishes it."""
    run = make_run_in(tmp_path, [["Paula"]], ["person"], pool={"shards_in_flight": 1})
    answers = {"shard": WorkResult(1, 5, 0, 1, {}, 0.1, True), "counters": {"finished_prompts": 1, "tokens": 1}}
    stop = StopRequest()

    def wait(references: list[str], **options: Any) -> tuple[list[str], list[str]]:
        return (references, []) if stop() else ([], references)

    ray = SimpleNamespace(wait=wait, get=answers.__getitem__, exceptions=SimpleNamespace(RayError=OSError))
    pool = Pool(ray, run.config.pool, replica_spec(run), {}, stop)
    calls = {"complete": lambda item: "shard", "progress": lambda: "counters"}
    actor = SimpleNamespace(**{name: SimpleNamespace(remote=call) for name, call in calls.items()})
    pool.slots.append(Slot(0, actor, 0.0, state=ReplicaState.READY))
    pool.on_change = lambda pool: setattr(stop, "requested", pool.in_flight > 0 or stop.requested)
    if shards == 1:
        assert pool.run({"a": 1}).prompts == 1
    else:
        with pytest.raises(DrainedError, match="with 1 shards open"):
            pool.run({"a": 1, "b": 1})
    assert pool.summary.prompts == 1


def test_a_stop_outrun_by_the_pool_ends_the_job_before_its_next_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, stop = make_run_in(tmp_path, [["Paula"]], ["person"]), StopRequest()

    def complete(*arguments: Any) -> Attempt:
        stop.handle(15, None)
        return Attempt()

    monkeypatch.setattr(stages, "run_prompts", lambda *arguments: None)
    monkeypatch.setattr(stages, "complete_prompts", complete)
    warm: Any = SimpleNamespace(begin=lambda layout, store: None)
    lease: Any = None
    with pytest.raises(DrainedError):
        stages._prompts_and_completions(run, lease, stop, lambda line: None, warm)
