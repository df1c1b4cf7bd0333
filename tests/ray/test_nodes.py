"""Nodes that die, join, or are no good while the pool works; Ray's cluster runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]


def play(scenario: str, folder: Path) -> dict[str, Any]:
    """What `two_nodes.py` reports."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.ray.two_nodes", scenario, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def test_a_lost_node_costs_nothing_but_its_shards_in_flight_and_a_new_one_gets_a_replica(tmp_path: Path) -> None:
    seen = play("come_and_go", tmp_path)
    assert seen["nodes_at_first"] == 2
    assert any(words.endswith("lost with its node") for _, words in seen["events"]), seen["events"]
    assert seen["deaths"] == 0, seen["events"]
    assert seen["first_node_has_a_replica"]
    assert seen["new_node_has_a_replica"]
    assert seen["prompts"] == 40 * 20 * 2


def test_a_node_where_no_engine_starts_is_avoided(tmp_path: Path) -> None:
    seen = play("bad_node", tmp_path)
    assert seen["start_failures"] >= 1
    assert seen["busy_on"] == [True, True], seen["events"]


def test_a_cluster_whose_head_dies_ends_in_words_and_not_in_a_hang(tmp_path: Path) -> None:
    seen = play("head_dies", tmp_path)
    assert "cannot be reached any more" in seen["error"]
    assert seen["code"] == 3
