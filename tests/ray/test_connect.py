"""DataFrames of Spark Connect, which runs none of our Python in its tasks, are annotated all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.ray.connect import TEXTS

pytestmark = [pytest.mark.ray, pytest.mark.spark]


def test_a_dataframe_of_spark_connect_comes_back_as_one_with_its_annotations() -> None:
    # SPARK_TESTING: a free port instead of Spark Connect's own one.
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_TESTING": "1"}
    command = [sys.executable, "-m", "tests.ray.connect"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    *shown, last = done.stdout.splitlines()
    result = json.loads(last)
    assert result["kinds"] == ["pyspark.sql.connect.dataframe"]
    assert result["columns"][:5] == ["key", "src", "entity_type", "entities", "outcome"]
    mentions = {
        (row["key"], row["src"], row["entity_type"]): [(e["text"], e["start"], e["end"]) for e in row["entities"]]
        for row in result["rows"]
    }
    assert mentions == {
        ("k0", 0, "A-words"): [("Ada", 0, 3)],
        ("k0", 0, "B-words"): [("Bob", 8, 11)],
        ("k1", 1, "A-words"): [],
        ("k1", 1, "B-words"): [],
        ("k3", 3, "A-words"): [("Ann", 0, 3)],
        ("k3", 3, "B-words"): [("Bea", 10, 13)],
    }
    assert (result["found"], result["limited"], result["pieces"], result["rejects"]) == (4, 2, [4, 2], 0)
    assert "left out 1 null_text; they stand in annotator.rejects" in done.stderr
    assert str(TEXTS["k3"]) in "\n".join(shown)
