"""The pool around a scripted engine: real Ray actors, faults on chosen prompts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.ray.conftest import MakeRun
from tests.support.pool import TYPES, assert_answers, complete, rows, texts
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.replica import Replica
from uniner_dist.completions.retry import begin_retry, reopen
from uniner_dist.completions.stage import check_limits, complete_prompts, is_complete, open_pool
from uniner_dist.completions.work import WorkItem
from uniner_dist.config.schema import EngineConfig
from uniner_dist.errors import DrainedError, LimitError, PoolError
from uniner_dist.run.run import with_limits
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.answer_store import live_files
from uniner_dist.storage.shards import committed_shards

pytestmark = pytest.mark.ray


def test_every_prompt_is_answered_once_and_a_second_start_does_nothing(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(20, seed) for seed in range(5)], TYPES)
    attempt = complete(run)
    assert attempt.prompts == 5 * 20 * 2
    assert is_complete(run)
    assert_answers(run)
    again = complete(run)
    assert again.prompts == 0
    assert (again.shards_reused, again.prompts_reused) == (5, 200)
    assert len(read_starts(run.layout)) == 2


def test_only_what_is_missing_or_broken_is_done_again(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(10, seed) for seed in range(4)], TYPES)
    complete(run)
    before = rows(run)
    names = sorted(committed_shards(run.layout))
    os.unlink(run.layout.completions_file(names[0]))
    assert complete(run).prompts == 20
    assert rows(run) == before


def test_refused_and_garbage_prompts_cost_one_row_each(ray: Any, make_run: MakeRun) -> None:
    batch = [*texts(10), "REFUSE this one, Paula."]
    run = make_run([batch], TYPES, engine={"extra": {"refuse": "REFUSE@person"}})
    attempt = complete(run)
    bad = (batch[-1], "person")
    assert rows(run)[bad]["output"] is None
    assert rows(run)[bad]["error_kind"] == "engine_error"
    assert "refused as the script says" in rows(run)[bad]["error"]
    assert attempt.failures == {"engine_error": 1}
    assert_answers(run, but={bad})


def test_a_prompt_that_does_not_fit_the_context_is_an_accounted_row(ray: Any, make_run: MakeRun) -> None:
    long_text = "Paula " * 3000
    run = make_run([[*texts(3), long_text]], TYPES)
    complete(run)
    for kind in TYPES:
        assert rows(run)[long_text, kind]["error_kind"] == "too_long"
    assert_answers(run, but={(long_text, kind) for kind in TYPES})


def test_unanswered_prompts_are_asked_again_and_the_others_are_not(ray: Any, make_run: MakeRun) -> None:
    batches = [[*texts(5, 1), "REFUSE this, Paula."], texts(5, 2)]
    run = make_run(batches, TYPES, engine={"extra": {"refuse": "REFUSE@person"}})
    complete(run)
    before = rows(run)
    assert reopen(run, begin_retry(run, 0)) == 1
    assert not is_complete(run)
    well = dataclasses.replace(run, config=run.config.model_copy(update={"engine": EngineConfig(kind="scripted")}))
    assert complete(well).prompts == 1
    assert_answers(run)
    bad = ("REFUSE this, Paula.", "person")
    assert {key: row for key, row in rows(run).items() if key != bad} == {k: r for k, r in before.items() if k != bad}
    assert reopen(run, begin_retry(run, 0)) == 0


def test_a_partial_or_foreign_file_is_recognised_and_done_again(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(10, seed) for seed in range(3)], TYPES)
    complete(run)
    before = rows(run)
    cut, foreign, _ = (Path(run.layout.completions_file(shard)) for shard in sorted(committed_shards(run.layout)))
    cut.write_bytes(cut.read_bytes()[:-100])
    foreign.write_bytes(Path(run.layout.completions_file(sorted(committed_shards(run.layout))[2])).read_bytes())
    assert complete(run).prompts == 40
    assert rows(run) == before


@pytest.mark.parametrize("fault", ["kill", "crash"])
def test_a_killer_prompt_costs_one_row_and_the_rest_is_done(ray: Any, make_run: MakeRun, fault: str) -> None:
    batches = [texts(30, 1), [*texts(30, 2), "POISON for Paula"], texts(30, 3)]
    run = make_run(batches, TYPES, engine={"extra": {fault: "POISON@location", "batch": 7}}, pool={"backoff_s": 0})
    attempt = complete(run)
    bad = ("POISON for Paula", "location")
    assert rows(run)[bad]["error_kind"] == "killer"
    assert attempt.failures == {"killer": 1}
    assert_answers(run, but={bad})
    assert 3 <= attempt.deaths <= 12


def test_a_hung_engine_counts_as_dead(ray: Any, make_run: MakeRun) -> None:
    run = make_run(
        [["SLEEP says Paula"], texts(10, 5)],
        TYPES,
        engine={"extra": {"hang": "SLEEP@person"}},
        pool={"stuck_timeout_s": 8, "suspect_after": 1, "max_kills": 1, "backoff_s": 0},
    )
    attempt = complete(run)
    bad = ("SLEEP says Paula", "person")
    assert rows(run)[bad]["error_kind"] == "killer"
    assert_answers(run, but={bad})
    assert any("no new token for 8 s" in words for _, words in attempt.events)
    lives = attempt.history.replicas
    assert [life.end for life in lives if life.end] == ["death"] * attempt.deaths
    assert all(life.placed_s <= life.ready_s for life in lives if life.ready_s is not None)
    assert attempt.history.points[-1][1] == attempt.prompts


def test_when_no_replica_can_start_the_job_fails_in_the_engines_words(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(3)], TYPES, engine={"extra": {"fail_start": "weights are made of cheese"}})
    with pytest.raises(PoolError, match="weights are made of cheese"):
        complete(run)
    assert read_starts(run.layout)[-1].start_failures == 3


#: No machine has so much memory, and the system says so at once.
OOM_GIB = 1 << 28


def test_a_replica_out_of_memory_at_load_is_replaced_while_others_work(
    ray: Any, make_run: MakeRun, tmp_path: Path
) -> None:
    extra = {"oom_gib": OOM_GIB, "oom_once": str(tmp_path / "once"), "slow_s": 0.05}
    run = make_run(
        [texts(20, seed) for seed in range(6)], TYPES, engine={"extra": extra}, pool={"replicas": 2, "backoff_s": 0}
    )
    attempt = complete(run)
    assert (attempt.start_failures, attempt.deaths) == (1, 0)
    assert attempt.replicas in (1, 2), "work may be over before the new one is ready"
    assert any("MemoryError: Unable to allocate" in words for _, words in attempt.events)
    assert_answers(run)


def test_when_no_replica_has_memory_the_job_fails_in_the_engines_words(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(3)], TYPES, engine={"extra": {"oom_gib": OOM_GIB}}, pool={"replicas": 2})
    with pytest.raises(PoolError, match=r"no replica could start .*\nMemoryError: Unable to allocate"):
        complete(run)


def test_an_engine_that_dies_at_its_first_prompt_blames_no_prompt(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(40)], TYPES, engine={"extra": {"crash": "Case"}}, pool={"max_shard_attempts": 4})
    with pytest.raises(PoolError, match=r"none ever answered a prompt .4 died") as caught:
        complete(run)
    assert "engine core died as the script says" in str(caught.value)
    assert not committed_shards(run.layout)


def test_an_engine_that_answers_late_but_generates_tokens_is_not_stuck(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(3)], TYPES, engine={"extra": {"long_s": 20}}, pool={"stuck_timeout_s": 10})
    attempt = complete(run)
    assert attempt.deaths == 0
    assert_answers(run)


def test_a_frozen_replica_counts_as_dead_and_its_process_is_ended(ray: Any, make_run: MakeRun) -> None:
    run = make_run(
        [texts(20, seed) for seed in range(6)],
        TYPES,
        engine={"extra": {"slow_s": 0.01}},
        pool={"stuck_timeout_s": 12, "suspect_after": 3},
    )
    frozen: list[int] = []

    def freeze() -> bool:
        pids = [slot.pid for slot in pool.slots if slot.held]
        if pids and not frozen and committed_shards(run.layout):
            frozen.append(pids[0])
            os.kill(pids[0], signal.SIGSTOP)
        return False

    with open_pool(run, freeze) as pool:
        attempt = complete_prompts(run, pool)
    assert attempt.deaths == 1
    assert_answers(run)
    wait_for_end(frozen)


def test_replicas_killed_at_random_change_no_row(ray: Any, make_run: MakeRun) -> None:
    batches = [texts(20, seed) for seed in range(12)]
    run = make_run(
        batches,
        TYPES,
        engine={"extra": {"slow_s": 0.01, "batch": 4}},
        pool={"replicas": 2, "backoff_s": 0, "max_shard_attempts": 50, "suspect_after": 4, "max_kills": 5},
    )
    rng = random.Random(11)
    with open_pool(run) as pool:
        done = threading.Event()
        killer = threading.Thread(target=_kill_replicas, args=(pool, rng, done, 4))
        killer.start()
        attempt = complete_prompts(run, pool)
        done.set()
        killer.join()
    assert attempt.deaths >= 1
    assert attempt.failures == {}
    assert_answers(run)


def _kill_replicas(pool: Pool, rng: random.Random, done: threading.Event, kills: int) -> None:
    while kills and not done.wait(rng.uniform(0.1, 0.8)):
        pids = [slot.pid for slot in list(pool.slots) if slot.held and slot.pid]
        if pids:
            with contextlib.suppress(ProcessLookupError):  # it has died of the kill before, and nobody noticed yet
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills -= 1


def test_a_request_to_stop_keeps_what_is_in_flight_for_the_next_start(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(20, seed) for seed in range(8)], TYPES, engine={"extra": {"slow_s": 0.01}})
    with pytest.raises(DrainedError) as caught:
        complete(run, should_stop=lambda: len(committed_shards(run.layout)) >= 2)
    assert caught.value.exit_code == 75
    kept = len(committed_shards(run.layout))
    assert 2 <= kept < 8
    attempt = complete(run)
    assert attempt.shards_reused == kept
    assert_answers(run)


def test_no_replica_stays_behind(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(5)], TYPES, pool={"replicas": 2})
    with open_pool(run) as pool:
        complete_prompts(run, pool)
        pids = [slot.pid for slot in pool.slots if slot.pid]
        assert pids
    wait_for_end(pids)


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 1200
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def received(log: Path) -> Counter[tuple[str, str]]:
    """Every prompt that engines got, as (text, type)."""
    return Counter(tuple(json.loads(line)) for line in log.read_text().splitlines())


def test_a_limit_of_prompts_stops_at_a_shard_and_a_higher_one_resumes(
    ray: Any, make_run: MakeRun, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    run = make_run([texts(20, seed) for seed in range(5)], TYPES, engine={"extra": {"log": str(log)}})
    limited = with_limits(run, 100, None)
    with pytest.raises(LimitError, match="3 shards open; the whole run asks 200 prompts") as caught:
        complete(limited)
    assert caught.value.exit_code == 8
    assert len(committed_shards(run.layout)) == 2
    assert received(log).total() == 80
    with pytest.raises(LimitError):
        check_limits(limited)
    check_limits(with_limits(run, 120, None))
    complete(with_limits(run, 200, None))
    assert is_complete(run)
    assert set(received(log).values()) == {1}
    assert received(log).total() == 200
    assert_answers(run)


def test_a_limit_of_gpu_hours_finishes_shards_in_flight_and_is_remembered(ray: Any, make_run: MakeRun) -> None:
    run = make_run([texts(20, seed) for seed in range(8)], TYPES, engine={"extra": {"slow_s": 0.05}})
    limited = with_limits(run, None, 5 / 3600)
    with pytest.raises(LimitError, match=r"stopped at run\.max_gpu_hours"):
        complete(limited)
    assert len(committed_shards(run.layout)) < 8
    [attempt] = read_starts(run.layout)
    assert attempt.gpu_hours >= 5 / 3600
    assert attempt.prompts == 40 * len(committed_shards(run.layout)), "whole shards only"
    with pytest.raises(LimitError):
        check_limits(limited)
    complete(run)
    assert_answers(run)


def test_answers_stand_in_the_store_before_their_shard_is_committed(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run([texts(3)], TYPES)
    replica = Replica(replica_spec(run))
    replica.start()

    def crash(*arguments: Any, **options: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("uniner_dist.completions.replica.files.write_completions", crash)
    with pytest.raises(KeyboardInterrupt):
        replica.complete(WorkItem("00000-0000"))
    assert not committed_shards(run.layout)
    [name] = live_files(run.store)
    assert pq.read_table(f"{run.store.cells}/{name}").num_rows == 6
    monkeypatch.undo()
    replica.complete(WorkItem("00000-0000"))
    replica.stop()
    assert live_files(run.store) == [name], "the same answers again are the same file"
    assert_answers(run)
