"""Metrics, read back over HTTP from where Prometheus would read them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import MakeRun
from tests.support.watching import wait_for
from uniner_dist.completions.metrics import COUNTERS, GAUGES
from uniner_dist.completions.stage import complete_prompts, open_pool
from uniner_dist.storage.layout import RunLayout

pytestmark = pytest.mark.ray


def values(text: str, run_id: str) -> dict[str, float]:
    """Sample → value, of one run; the labels that Ray adds are left out."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("ray_uniner_dist_") and f'run="{run_id}"' in line:
            sample, value = line.rsplit(" ", 1)
            name, labels = sample.rstrip("}").split("{")
            own = [label for label in labels.split(",") if label.split("=")[0] in ("state", "outcome")]
            found[name + "".join(own)] = float(value)
    return found


def test_what_the_pool_did_can_be_read_over_http(ray: Any, make_run: MakeRun) -> None:
    texts = [[f"Paula met Erik {i} times.", f"BAD {i}"] for i in range(6)]
    run = make_run(texts, ["person", "place"], engine={"kind": "scripted", "extra": {"refuse": "BAD"}})
    # Counters of one process go on over its runs of the same name, and other tests' runs all have the same one.
    layout = RunLayout(run.layout.workdir, "seen-over-http")
    Path(run.layout.root).rename(layout.root)
    run = replace(run, layout=layout)
    with open_pool(run) as pool:
        begun = time.time()
        attempt = complete_prompts(run, pool)
        text = wait_for(ray, lambda text: values(text, run.id).get("ray_uniner_dist_prompts_answered_total", 0) >= 24)
    found = values(text, run.id)
    names = {name.split('state="')[0].split('outcome="')[0] for name in found}
    expected = {f"ray_uniner_dist_{name}" for name in GAUGES} | {f"ray_uniner_dist_{name}_total" for name in COUNTERS}
    silent = {f"ray_uniner_dist_{name}_total" for name in ("cached_tokens", "replica_deaths", "replica_start_failures")}
    assert expected - silent <= names <= expected
    assert found["ray_uniner_dist_prompts"] == attempt.prompts == 24
    assert found["ray_uniner_dist_prompts_open"] == found["ray_uniner_dist_shards_open"] == 0
    assert found["ray_uniner_dist_shards"] == 6
    assert found["ray_uniner_dist_prompt_tokens_total"] == attempt.prompt_tokens
    assert found['ray_uniner_dist_prompts_failed_totaloutcome="engine_error"'] == attempt.failures["engine_error"] > 0
    assert found['ray_uniner_dist_replicasstate="ready"'] == 1
    assert begun <= found["ray_uniner_dist_last_progress_timestamp_seconds"] <= time.time()
