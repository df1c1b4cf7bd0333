"""The benchmarks that need no Spark: they run, and all ways answer the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.engine_settings import main as compare_settings
from benchmarks.gpu import main


@pytest.mark.vllm
def test_the_benchmark_for_gpus_runs_on_cpu_and_all_ways_answer_the_same(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main(["--size", "tiny", "--prompts", "40", "--types", "4", "--shards", "2", "--counters", "--output", str(report)])
    plain, ours, tails = json.loads(report.read_text())["runs"]
    assert (plain["way"], ours["way"], tails["way"]) == ("plain", "ours", "ours-prefix-tails")
    assert plain["prompts"] == ours["prompts"] == tails["prompts"] == 40
    assert ours["differing"] == tails["differing"] == 0
    assert tails["computed_tokens"] < 0.9 * ours["computed_tokens"]
    assert ours["prefix_hit_rate"] > 0.5
    assert ours["computed_tokens"] <= plain["computed_tokens"]
    counters = ours["counters"]
    assert counters["vllm:prefix_cache_hits"] / counters["vllm:prefix_cache_queries"] == ours["prefix_hit_rate"]


@pytest.mark.vllm
def test_a_replica_answers_the_same_whatever_makes_it_fast(tmp_path: Path) -> None:
    output = tmp_path / "runs.json"
    plain = "stop_empty=false;prefix_tails=false;speculative_config=null;block_size=64;detokenize=true"
    other = "speculative_config={method: ngram, num_speculative_tokens: 3, prompt_lookup_max: 3};max_in_flight=8"
    compare_settings(["", plain, other, "--prompts", "390", "--repeats", "1", "--output", str(output)])
    first, second, third = json.loads(output.read_text())
    assert (first["variant"], second["variant"], third["variant"]) == ("", plain, other)
    assert second["differing"] == third["differing"] == 0
    assert first["generated_tokens"] == third["generated_tokens"] < second["generated_tokens"]
    assert first["computed_tokens"] < 0.6 * second["computed_tokens"]
    assert 0 < first["steps"] < 0.7 * second["steps"]
