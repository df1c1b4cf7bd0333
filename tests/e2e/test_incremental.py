"""Plan before spend, limits, and a second day without a GPU, as commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import DOCUMENTS, SCRIPTED, annotate, call, read_rows, run, uniner_dist

pytestmark = pytest.mark.e2e


@pytest.mark.slow
def test_a_planned_run_stops_at_its_limit_and_the_next_day_needs_no_ray(
    spark: Any, ray: Any, corpus: Path, tmp_path: Path
) -> None:
    own, output, file = tmp_path / "corpus", tmp_path / "out", tmp_path / "plan.json"
    shutil.copytree(corpus, own)
    log = tmp_path / "log.jsonl"
    command = annotate(own, output, *SCRIPTED, "--set", f"engine.extra.log={log}")
    rate = ["--set", "plan.tokens_per_second=1000", "--set", "plan.price_per_gpu_hour=3"]
    printed = call(uniner_dist("plan", *command[2:], *rate, "--json", str(file)))
    plan = json.loads(file.read_text())
    assert plan["documents"] == DOCUMENTS
    assert plan["rejects"] == {"null_id": 2, "null_text": 2, "blank_text": 2}
    assert plan["prompts_known"] == 0
    assert plan["prompts"] == plan["prompts_to_ask"] == 2 * plan["unique_passages"]
    assert plan["prompts_saved_by_duplicates"] == 2 * (DOCUMENTS - plan["unique_passages"])
    assert plan["gpu_hours"]["expected"] == pytest.approx(plan["prompt_tokens"]["expected"] / 1000 / 3600)
    assert plan["money"]["expected"] == pytest.approx(3 * plan["gpu_hours"]["expected"])
    for words in ("prompts to ask", "GPU hours", "money, at 3 an hour", "plan.tokens_per_second"):
        assert words in printed
    assert not log.exists()
    assert not output.exists()

    limit = plan["prompts"] // 2
    words = call([*command, "--max-prompts", str(limit)], code=8)
    assert f"stopped at run.max_prompts={limit}" in words
    assert 0 < len(log.read_text().splitlines()) <= limit
    call([*command, *rate])
    rows = read_rows(output)
    received = log.read_text().splitlines()
    assert len(received) == len(set(received)) == plan["prompts"]
    [path] = Path(f"{output}.work/runs").glob("*/report.json")
    compared = json.loads(path.read_text())["plan"]
    assert compared["prompts"] == {"planned": plan["prompts"], "actual": plan["prompts"]}
    assert compared["prompt_tokens"]["planned"]["expected"] == compared["prompt_tokens"]["actual"]
    assert compared["gpu_hours"]["actual"] > 0

    for part in own.rglob("*.parquet"):
        pq.write_table(pq.read_table(part).slice(20), part)
    words = run([*command, "--set", "ray.address=127.0.0.1:1"])
    assert "no replica is started" in words
    assert log.read_text().splitlines() == received
    left = {key: row for key, row in rows.items() if int(key[0].split("-")[1]) >= 20}
    assert 0 < len(left) < len(rows)
    assert read_rows(output) == left
