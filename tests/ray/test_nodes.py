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


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `two_nodes.py` reports of each scenario."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.two_nodes", str(tmp_path_factory.mktemp("nodes"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results: dict[str, dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return results


def test_a_lost_node_costs_its_shards_in_flight_and_a_new_one_is_used(
    played: dict[str, dict[str, Any]],
) -> None:
    seen = played["come_and_go"]
    assert "failed" not in seen, seen["failed"]
    assert seen["nodes_at_first"] == 2
    assert any(words.endswith("lost with its node") for _, words in seen["events"]), seen["events"]
    assert seen["deaths"] == 0, seen["events"]
    assert seen["first_node_has_a_replica"]
    assert seen["new_node_has_a_replica"]
    assert seen["prompts"] == 40 * 20 * 2


def test_a_node_where_no_engine_starts_is_avoided(played: dict[str, dict[str, Any]]) -> None:
    seen = played["bad_node"]
    assert "failed" not in seen, seen["failed"]
    assert seen["start_failures"] >= 1
    assert seen["busy_on"] == [True, True], seen["events"]


def test_a_cluster_whose_head_dies_ends_in_words_and_not_in_a_hang(played: dict[str, dict[str, Any]]) -> None:
    seen = played["head_dies"]
    assert "failed" not in seen, seen["failed"]
    assert "cannot be reached any more" in seen["error"]
    assert seen["code"] == 3
