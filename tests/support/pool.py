"""Runs whose shards the real pool answers with a scripted engine: their texts, their rows, and what is right."""

from __future__ import annotations

import json
import random
from collections.abc import Set
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from uniner_dist import demo
from uniner_dist.completions.engine.scripted import scripted_answer
from uniner_dist.completions.stage import complete_prompts, open_pool
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Attempt
from uniner_dist.storage.shards import read_completions, read_prompts, read_shards

TYPES = ["person", "location"]


def texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    names = ["Paula", "Lima", "Erik", "Oslo", "Nadia", "Turin", "Rosa", "Zed"]
    return [
        f"Case {seed}-{i}: {rng.choice(names)} met {rng.choice(names)} in {rng.choice(names)}." for i in range(count)
    ]


def rows(run: Run) -> dict[tuple[str, str], dict[str, Any]]:
    """Every completions row of a run by (text, type); asserts that they align with the prompts one to one."""
    found = {}
    for shard in read_shards(run.layout).column("shard").to_pylist():
        prompts = read_prompts(run.layout, shard)
        table = read_completions(run.layout.completions_file(shard), shard, run.fingerprint, prompts.num_rows)
        assert table.column("passage_id").to_pylist() == prompts.column("passage_id").to_pylist()
        assert table.column("entity_type").to_pylist() == prompts.column("entity_type").to_pylist()
        for prompt, row in zip(prompts.to_pylist(), table.to_pylist(), strict=True):
            found[prompt["text"], prompt["entity_type"]] = row
    return found


def complete(run: Run, **options: Any) -> Attempt:
    with open_pool(run, **options) as pool:
        return complete_prompts(run, pool)


def assert_answers(run: Run, but: Set[tuple[str, str]] = frozenset()) -> None:
    for (text, kind), row in rows(run).items():
        if (text, kind) not in but:
            assert json.loads(row["output"]) == json.loads(scripted_answer(text, kind)), (text, kind)


def sentences(count: int) -> list[str]:
    """Short texts of the sample corpus."""
    table = pq.read_table(Path(demo.corpus_path()) / "domain=news", columns=["text"])
    return [text for text in table.column("text").to_pylist() if text and len(text) < 300][:count]
