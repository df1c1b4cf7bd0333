"""DataFrames of Spark Connect, which runs none of our Python in its tasks; and the Ray of a process that had none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    """What `tests.support.connect` did, what it `shown` and `said`."""
    # SPARK_TESTING: a free port instead of Spark Connect's own one.
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_TESTING": "1"}
    command = [sys.executable, "-m", "tests.support.connect"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    *shown, last = done.stdout.splitlines()
    return {**json.loads(last), "shown": "\n".join(shown), "said": done.stderr}


def test_a_spark_connect_dataframe_comes_back_with_its_annotations(notebook: dict[str, Any]) -> None:
    assert notebook["kinds"] == ["pyspark.sql.connect.dataframe"]
    assert notebook["columns"][:5] == ["key", "src", "entity_type", "entities", "outcome"]
    mentions = {
        (row["key"], row["src"], row["entity_type"]): [(e["text"], e["start"], e["end"]) for e in row["entities"]]
        for row in notebook["rows"]
    }
    assert mentions == {
        ("k0", 0, "A-words"): [("Ada", 0, 3)],
        ("k0", 0, "B-words"): [("Bob", 8, 11)],
        ("k1", 1, "A-words"): [],
        ("k1", 1, "B-words"): [],
        ("k3", 3, "A-words"): [("Ann", 0, 3)],
        ("k3", 3, "B-words"): [("Bea", 10, 13)],
    }
    counted = [notebook[name] for name in ("found", "limited", "pieces", "rejects")]
    assert counted == [4, 2, [4, 2], 0], "the one row without a text is not among the first"
    assert "left out 1 null_text; they are in annotator.rejects" in notebook["said"]
    assert "[Ann](A-words) saw 👩 [Bea](B-words)." in notebook["shown"]


def test_annotators_share_one_ray_and_the_last_of_them_stops_it(notebook: dict[str, Any]) -> None:
    [alone], together, left, none = notebook["raylets"]
    assert together == left == [alone]
    assert none == []
