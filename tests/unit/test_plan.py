"""The plan: tokens by the tokenizer on a sample, rates from earlier runs, limits on prompts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.ray.conftest import make_run_in
from uniner_dist import model
from uniner_dist.completions.budget import Budget
from uniner_dist.completions.decisions import shards_within
from uniner_dist.completions.work import Shard
from uniner_dist.core.estimate import estimate_total, passage_tokens
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.reporting.plan import compare, estimate_tokens, replica_rate
from uniner_dist.run.run import with_limits
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.control_files import Attempt, Compared, Interval, Plan, Totals
from uniner_dist.storage.filesystem import write_json
from uniner_dist.storage.shards import read_completions, read_prompts, write_completions


def test_the_interval_covers_the_true_total_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    rough = rng.integers(20, 400, 5000)
    exact = (rough * rng.normal(1.1, 0.2, 5000)).astype(np.int64)
    covered = 0
    for _ in range(400):
        sample = rng.choice(5000, 200, replace=False)
        estimate = estimate_total(exact[sample], rough[sample], 5000, int(rough.sum()))
        covered += estimate.low <= exact.sum() <= estimate.high
        assert estimate.high - estimate.low < 0.1 * estimate.expected
    assert 0.92 <= covered / 400 <= 0.98


def test_a_sample_of_everything_leaves_nothing_to_chance() -> None:
    exact = np.array([3, 5, 9])
    estimate = estimate_total(exact, np.array([1, 1, 1]), 3, 3)
    assert (estimate.low, estimate.expected, estimate.high) == (17, 17, 17)
    assert estimate_total(exact[:0], exact[:0], 0, 0).expected == 0


def test_a_passage_costs_its_prefix_once_and_only_what_is_asked() -> None:
    asked = np.array([[True, True], [False, True], [False, False]])
    tokens = passage_tokens(np.array([4, 5, 400]), asked, 10, np.array([7, 3]))
    assert tokens.tolist() == [1 + 10 + 10, 2 + 10 + 3, 0]


def test_planned_tokens_are_those_of_the_prompts_without_the_known_ones(tmp_path: Path) -> None:
    texts = [f"Case {i}: Paula met Erik in Oslo{'!' * (i % 5)}" for i in range(30)]
    run = make_run_in(tmp_path, [texts[:15], texts[15:]], ["person", "location"])
    tokenizer = PromptTokenizer.from_json(model.load_tokenizer_json(run.config.model), get_template("ie_as_qa"))

    def tokens(cells: list[tuple[str, str]]) -> int:
        return sum(len(tokenizer.prompt_ids(text, ask)) for text, ask in cells)

    every = [(text, ask) for text in texts for ask in ("person", "location")]
    estimate, sampled = estimate_tokens(run)
    assert (estimate.expected, estimate.low, estimate.high, sampled) == (*[tokens(every)] * 3, 30)

    shard = "00000-0000"
    prompts = read_prompts(run.layout, shard)
    rows = [
        {"passage_id": row["passage_id"], "entity_type": row["entity_type"], "output": "[]" if i < 11 else None}
        | {"prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1, "reused": i < 11}
        for i, row in enumerate(prompts.to_pylist())
    ]
    write_completions(
        run.layout.known_file(shard), shard, run.fingerprint, pa.Table.from_pylist(rows, schema=COMPLETIONS)
    )
    assert read_completions(run.layout.known_file(shard), shard, run.fingerprint).num_rows == 30
    assert estimate_tokens(run)[0].expected == tokens(every[11:])


def test_the_rate_is_measured_by_runs_of_the_same_model_or_given(tmp_path: Path) -> None:
    run = make_run_in(tmp_path, [["Paula"]], ["person"], plan={"tokens_per_second": 5})
    assert replica_rate(run) == (5, "plan.tokens_per_second")
    attempt = {"prompt_tokens": 600, "answering_s": 10.0, "replicas": 2}
    write_json(f"{run.layout.attempts}/1.000.json", attempt)
    write_json(f"{run.layout.attempts}/2.000.json", {**attempt, "prompt_tokens": 0, "replicas": 0})
    assert replica_rate(run) == (30, "measured by earlier runs of this workdir")
    pinned = json.loads(Path(run.layout.config).read_text())
    foreign = run.layout.root.replace(run.id, "f" * 12)
    write_json(f"{foreign}/config.json", pinned)  # is not that run's
    write_json(f"{foreign}/attempts/1.000.json", {**attempt, "prompt_tokens": 10**9})
    assert replica_rate(run)[0] == 30
    other = make_run_in(tmp_path, [["Paula"]], ["person"], model={"max_tokens": 64})
    write_json(f"{other.layout.attempts}/1.000.json", {**attempt, "prompt_tokens": 10**9})
    assert replica_rate(run)[0] == 30
    unknown = make_run_in(tmp_path / "b", [["Paula"]], ["person"])
    assert replica_rate(unknown)[0] is None


def test_shards_are_taken_while_they_fit_the_limit_of_prompts() -> None:
    shards = [Shard("a", 10, 10, 1), Shard("b", 10, 4, 1), Shard("c", 10, 3, 1)]
    assert [shard.name for shard in shards_within(shards, None)] == ["a", "b", "c"]
    assert [shard.name for shard in shards_within(shards, 13)] == ["a", "c"]
    assert [shard.name for shard in shards_within(shards, 9)] == ["b", "c"]
    assert shards_within(shards, 2) == []


def test_limits_count_what_earlier_starts_have_spent(tmp_path: Path) -> None:
    run = make_run_in(tmp_path, [["Paula"]], ["person"], pool={"gpus_per_replica": 2})
    shards = [Shard("a", 10, 10, 1), Shard("b", 10, 10, 1)]
    budget = Budget(with_limits(run, 25, 3.0), [Attempt(gpu_hours=0.5), Attempt(gpu_hours=0.5)])
    assert budget.replica_s == pytest.approx(3600)
    assert [shard.name for shard in budget.shards(shards, done=10)] == ["a"]
    error = budget.reached(1, 20)
    assert error.exit_code == 8
    assert "run.max_prompts=25 and run.max_gpu_hours=3" in str(error)


def test_the_report_sets_plan_and_actual_side_by_side() -> None:
    interval = Interval(expected=90, low=80, high=100)
    plan = Plan(prompts_to_ask=9, prompt_tokens=interval, gpu_hours=None, money=None, price_per_gpu_hour=2.0)
    compared = compare(plan, Totals(prompts=9, prompt_tokens=91, gpu_hours=0.5))
    assert compared["prompts"] == Compared(planned=9, actual=9)
    assert compared["prompt_tokens"] == Compared(planned=interval, actual=91)
    assert compared["money"] == Compared(planned=None, actual=1.0)
