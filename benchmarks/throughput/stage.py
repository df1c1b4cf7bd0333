"""The completions stage of this project over a prepared run, as `uniner-dist completions` runs it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.throughput.workload import prompt_key
from uniner_dist.completions.stage import complete_prompts, open_pool
from uniner_dist.config.loading import _put, validate_tree
from uniner_dist.run.run import Run, load_run
from uniner_dist.storage.shards import read_completions, read_shards


def complete(folder: Path, settings: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Answer everything anew. The time runs from all replicas being loaded to the last shard's file."""
    run = load_run(str(folder / "run"))
    tree = run.config.model_dump()
    for key, value in settings.items():
        _put(tree, key, value, [])
    run = replace(run, config=validate_tree(tree))
    for name in (run.layout.completions, run.layout.attempts, run.config.store_path):
        shutil.rmtree(name, ignore_errors=True)
    with open_pool(run) as pool:
        import ray

        # A comparison of speeds should not depend on who loads faster.
        ray.get([slot.start_ref for slot in pool.slots], timeout=run.config.pool.start_timeout_s)
        ready = time.time()
        attempt = complete_prompts(run, pool)
        end = time.time()
    counts = {"prompts": attempt.prompts, "computed_tokens": attempt.prompt_tokens - attempt.cached_tokens}
    return _answers(run), {"ready": ready, "end": end, **counts}


def _answers(run: Run) -> dict[str, str]:
    answers: dict[str, str] = {}
    for shard in read_shards(run.layout).column("shard").to_pylist():
        rows = read_completions(run.layout.completions_file(shard), shard, run.fingerprint)
        answers |= {prompt_key(row): row["output"] or "" for row in rows.to_pylist()}
    return answers
