"""The benchmark for GPUs, on CPU with a tiny model of random weights: it runs, and both ways answer the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu import main


@pytest.mark.vllm
def test_the_benchmark_for_gpus_runs_on_cpu_and_both_ways_answer_the_same(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main(["--size", "tiny", "--prompts", "40", "--types", "4", "--shards", "2", "--counters", "--output", str(report)])
    plain, ours = json.loads(report.read_text())["runs"]
    assert (plain["way"], ours["way"]) == ("plain", "ours")
    assert plain["prompts"] == ours["prompts"] == 40
    assert ours["differing"] == 0
    assert ours["prefix_hit_rate"] > 0.5
    assert ours["computed_tokens"] <= plain["computed_tokens"]
    counters = ours["counters"]
    assert counters["vllm:prefix_cache_hits"] / counters["vllm:prefix_cache_queries"] == ours["prefix_hit_rate"]
