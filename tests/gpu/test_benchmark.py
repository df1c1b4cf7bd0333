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
def test_a_replica_that_stops_at_the_empty_list_or_guesses_tokens_ahead_answers_the_same(tmp_path: Path) -> None:
    output = tmp_path / "runs.json"
    stop = "stop_empty=true;detokenize=true;max_in_flight=8;shards_in_flight=2;block_size=64;prefix_tails=false"
    guessed = "speculative_config={method: ngram, num_speculative_tokens: 3, prompt_lookup_max: 3}"
    compare_settings(["", stop, guessed, "--prompts", "60", "--repeats", "1", "--output", str(output)])
    first, second, third = json.loads(output.read_text())
    assert (first["variant"], second["variant"], third["variant"]) == ("", stop, guessed)
    assert second["differing"] == third["differing"] == 0
    assert second["generated_tokens"] < first["generated_tokens"]
    assert second["computed_tokens"] > first["computed_tokens"]
    assert second["steps"] > first["steps"] > third["steps"] > 0
