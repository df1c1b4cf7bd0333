"""A short storm of kills around the whole job; `make chaos` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.storm import run_storm

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.slow]


def test_a_job_killed_again_and_again_gives_the_rows_of_an_undisturbed_one(
    corpus: Path, calm_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    storm = run_storm(4, random.Random(4), corpus, calm_rows, tmp_path, per_round=(4, 4))
    assert storm.well, storm.to_json()
    assert storm.longest_output < 100, "failures are told in words, not in stack traces"
