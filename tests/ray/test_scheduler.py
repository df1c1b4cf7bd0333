"""Prefix tails under vLLM's own scheduler, asynchronous as on a GPU: every position of every cache is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.vllm
#: Caches in which requests do not find room: long answers, few blocks, passages computed in several steps.
PRESSED = [
    {"blocks": 60, "budget": 256, "sequences": 24, "answer_tokens": 60, "empty": 0.2},
    {"blocks": 40, "budget": 128, "sequences": 16, "answer_tokens": 60, "empty": 0.3, "in_flight": 64},
    {"blocks": 33, "budget": 96, "sequences": 16, "answer_tokens": 80, "empty": 0.1},
    {"blocks": 20, "budget": 96, "sequences": 24, "answer_tokens": 40, "empty": 0.5},
]


def simulate(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In a process of its own: vLLM keeps much that is global."""
    command = [sys.executable, "-m", "tests.support.scheduler_simulation", json.dumps(settings)]
    env = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, check=True, env=env, capture_output=True, text=True, timeout=1200)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(settings)
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("asynchronous", [True, False], ids=["asynchronous", "synchronous"])
def test_tails_are_right_and_save_work_however_small_the_cache(asynchronous: bool) -> None:
    roomy = [{"tails": tails, "asynchronous": asynchronous} for tails in (True, False)]
    pressed = [{**one, "asynchronous": asynchronous, "seed": seed} for one in PRESSED for seed in range(4)]
    with_tails, without, *others = simulate(roomy + pressed)
    assert [(one["error"], one["wrong"]) for one in (with_tails, without, *others)] == [(None, [])] * (2 + len(others))
    assert with_tails["computed"] < 0.9 * without["computed"] < 0.9 * without["prompt_tokens"]
    assert without["loads"] == without["saves"] == 0
    for one in range(len(PRESSED)):
        own = others[4 * one : 4 * one + 4]
        assert sum(seen["preemptions"] for seen in own) > 10, "requests were put off in the middle of their answers"
        assert all(seen["loads"] > 20 for seen in own)


@pytest.mark.parametrize("method", ["start_load_kv", "wait_for_save"])
def test_a_copy_that_is_left_out_does_not_go_unnoticed(method: str) -> None:
    [seen] = simulate([{"broken": method}])
    assert "hold something else" in seen["error"]
