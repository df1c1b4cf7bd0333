"""What the benchmarks of speed reckon, without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.engine_settings import COLUMNS, table
from benchmarks.gpu import figures
from benchmarks.on_gpu import reckoned
from benchmarks.on_gpu.workload import count_parameters, make_texts
from benchmarks.throughput.compare import differing, explain, markdown, summarise
from benchmarks.throughput.tree import Tree
from benchmarks.throughput.ways import WAYS, parse_way
from benchmarks.throughput.workload import choose_texts, ideal_tokens, spells


def test_the_ideal_counts_each_whole_block_once_and_every_rest_of_a_prompt() -> None:
    passage = list(range(10))
    prompts = [[*passage, 90, 91, 92], [*passage, 95, 96, 97], [*passage, 90, 91, 92]]
    # Blocks of 4: two of the passage, a third one that differs by question, and a last token each.
    assert ideal_tokens(prompts, 4) == 2 * 4 + 2 * 4 + 3 * 1


def test_the_ideal_always_computes_the_last_token_of_a_prompt() -> None:
    assert ideal_tokens([[1, 2, 3, 4], [1, 2, 3, 4]], 4) == 8
    assert ideal_tokens([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]], 4) == 4 + 1 + 1


def test_the_same_block_behind_another_beginning_is_another_block() -> None:
    assert ideal_tokens([[1, 2, 7, 8, 0], [3, 4, 7, 8, 0]], 2) == 4 * 2 + 2


def test_answers_differ_when_missing_new_or_other_than_by_white_space() -> None:
    wanted = {"a": ' ["x"]', "b": "[]", "c": "[]"}
    assert differing(wanted, {"a": '["x"]', "b": "[ ]", "d": "[]"}) == ["b", "c", "d"]


def test_differing_answers_are_explained_by_special_tokens_or_bad_bytes() -> None:
    wanted = {"a": ' ["x', "b": ' ["<s>"]', "c": ' ["y"]', "d": "[]", "e": ' ["\ufffdz ', "f": "[]"}
    found = {"a": ' ["x\ufffd\ufffd', "b": ' ["s"]', "c": ' ["\ufffdz"]', "e": ' ["\ufffdz \ufffd', "f": " []"}
    # No answer at all is never explained, and answers that agree need no explanation.
    assert explain(wanted, found, spelling={"b", "d", "f"}) == {
        "special_tokens": ["b"], "broken_bytes": ["a", "e"], "unexplained": ["c", "d"],
    }  # fmt: skip
    assert explain(found, {**found, "new": "[]"}, spelling={"new"})["unexplained"] == ["new"]


def test_texts_that_spell_a_special_token_are_known() -> None:
    assert [spells(["<s>", "</s>"], text) for text in ("a<s>b", "</s>", "< s>", "")] == [True, True, False, False]


def test_variants_of_settings_are_told_by_their_medians() -> None:
    first = {"variant": "", **dict.fromkeys((name for name, _, _ in COLUMNS), 100)}
    lines = table([first, first | {"prompts_per_s": 300}, first | {"variant": "block_size=64"}]).splitlines()
    assert lines[2] == "| defaults | 200 (100–300) | 100.00 | 100.00 | 100.000 | 100 | 100 | 100 | 100 | 100 |"
    assert lines[3].startswith("| block_size=64 | 100 |")


def run(way: str, repeat: int, speed: float, cpu: float, command: float) -> dict[str, object]:
    return {"way": way, "repeat": repeat, "prompts_per_s": speed, "cpu_ms_per_prompt": cpu, "command_s": command}


def test_ratios_are_taken_within_a_repeat_and_above_one_is_better() -> None:
    runs = [run("plain", 0, 100, 10, 20), run("ours", 0, 150, 5, 40), run("plain", 1, 50, 20, 30)]
    summary = summarise([*runs, run("ours", 1, 100, 5, 30)], "plain")
    assert summary["ours"]["speed"] == [1.75, 1.5, 2.0]
    assert summary["ours"]["cpu"] == [3.0, 2.0, 4.0]
    assert summary["ours"]["command"] == [0.75, 0.5, 1.0]
    assert summary["plain"]["prompts_per_s"] == [75, 50, 100]
    assert "| ours | 125 (100–150) | 1.75 (1.50–2.00) | 5.00 |" in markdown(summary, "plain")


def test_cpu_seconds_of_a_window_are_those_between_its_ends() -> None:
    assert Tree(times=[1.0, 2.0, 3.0], cpu=[0.5, 1.5, 4.0]).cpu_seconds(1.5, 2.5) == 2.5


def test_settings_of_a_way_stand_behind_its_name() -> None:
    way, settings = parse_way("ours@engine.max_num_seqs=256;engine.extra.disable_log_stats=true")
    assert way is WAYS["ours"]
    assert settings == {"engine.max_num_seqs": 256, "engine.extra.disable_log_stats": True}
    with pytest.raises(KeyError):
        parse_way("theirs")


def test_a_small_corpus_comes_again_until_there_are_enough_different_texts() -> None:
    texts = choose_texts(["b", "a", "a", " ", "x" * 2000], 5)
    assert len(set(texts)) == 5
    assert {"a", "b"} < set(texts)


def test_figures_of_a_gpu_count_what_no_cache_had() -> None:
    found = {
        "begin": 10.0, "end": 12.0, "prompts": 100, "prompt_tokens": 1000, "cached_tokens": 800,
        "completion_tokens": 200, "front_end_cpu_s": 0.5, "engine_cpu_s": 1.5, "counters": None,
    }  # fmt: skip
    told = figures(found, parameters=10**12, idle=0.25)
    assert told["computed_tokens"] == 400
    assert told["computed_tokens_per_s"] == 200
    assert told["prefix_hit_rate"] == 0.8
    assert told["share_of_peak"] == pytest.approx(2e12 * 200 / 989e12)
    assert told["front_end_cpu_ms_per_prompt"] == 5


def test_the_weights_of_a_llama_of_7b_are_counted() -> None:
    llama = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008}
    assert count_parameters({**llama, "vocab_size": 32000}) == 6_607_077_376


def test_generated_texts_are_different_and_of_the_wanted_length() -> None:
    texts = make_texts(200, 200)
    assert len(set(texts)) == 200
    assert 180 < sum(map(len, texts)) / 200 < 240


def test_results_name_only_files_that_are_there() -> None:
    page = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"
    for name in ("throughput-5000.json", "throughput-5000.png", "engine-settings.json"):
        assert name in page.read_text()
        assert (page.parent / name).stat().st_size > 1000


def test_the_reckoned_rates_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/gpu.md").read_text()
    assert page.partition("<!-- table -->\n")[2].partition("\n<!-- end -->")[0] == reckoned.table()
    assert reckoned.prompts_per_s(reckoned.GPUS["H100 SXM"]) == pytest.approx(989e12 * 0.4 / (2 * 6.7e9 * 673 / 20))
