"""The benchmarks that need no Spark: they run, and all ways answer the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine_settings import main as compare_settings
from benchmarks.gpu import VARIANTS, main

TINY = ["--size", "tiny", "--prompts", "40", "--types", "4", "--shards", "2", "--limit", "280", "--minutes", "20"]


def parts(path: Path) -> dict[str, dict[str, Any]]:
    return {part["part"]: part for part in json.loads(path.read_text())["parts"]}


def test_copies_of_both_kinds_are_the_same_bits_on_cpu(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main([*TINY, "--only", "copies", "--output", str(report)])
    copies = parts(report)["copies"]
    assert copies["bitwise_equal"] is True
    # 4 passages of 12 questions, loaded and saved: 48 + 4 blocks of 3 layers, 2 heads, 16 tokens, 8 numbers of 2 bytes.
    assert copies["bytes_a_step"] == 2 * (48 + 4) * 3 * 2 * 16 * 8 * 2
    assert copies["ratio_done"] > 0


def test_a_part_that_fails_or_takes_too_long_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    broken = ["--model", str(tmp_path), "--only", "plain", "copies", "--limit", "60", "--output", str(report)]
    (tmp_path / "config.json").write_text("no model at all")
    main([*TINY[:-4], *broken])
    found = parts(report)
    assert "error" in found["plain"]
    assert found["copies"]["bitwise_equal"] is True
    main([*TINY[:-4], *broken, "--minutes", "0"])
    assert "no time left" in parts(report)["plain"]["error"]
    assert parts(report)["copies"] == found["copies"], "what is done is kept"
    with pytest.raises(SystemExit, match="figures of other options"):
        main([*TINY[:-4], *broken, "--types", "5"])


@pytest.mark.slow
@pytest.mark.vllm
def test_the_benchmark_for_gpus_runs_on_cpu_and_all_ways_answer_the_same(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main([*TINY, "--counters", "--only", "plain", "ours", "ours-prefix-tails", "--output", str(report)])
    found = parts(report)
    plain, ours, tails = found["plain"], found["ours"], found["ours-prefix-tails"]
    assert plain["prompts"] == ours["prompts"] == tails["prompts"] == 40
    assert ours["differing"] == tails["differing"] == 0
    assert tails["computed_tokens"] < 0.9 * ours["computed_tokens"]
    assert ours["prefix_hit_rate"] > 0.5
    assert ours["computed_tokens"] <= plain["computed_tokens"]
    counters = ours["counters"]
    assert counters["vllm:prefix_cache_hits"] / counters["vllm:prefix_cache_queries"] == ours["prefix_hit_rate"]
    assert set(json.loads(report.read_text())["times_plain"]) == {"plain", "ours", "ours-prefix-tails"}


@pytest.mark.vllm
@pytest.mark.slow
def test_every_part_for_gpus_is_rehearsed_on_cpu(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main([*TINY, "--output", str(report)])
    found = parts(report)
    assert list(found) == ["copies", *VARIANTS]
    for name in ("ours", "ours-prefix-tails", "ours-synchronous", "ours-prefix-tails-synchronous", "ours-two-engines"):
        assert (found[name]["prompts"], found[name]["differing"]) == (40, 0), name


@pytest.mark.slow
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
