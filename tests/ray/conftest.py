"""Runs whose prompts are made without Spark."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist import model
from uniner_dist.config.loading import validate_tree
from uniner_dist.core.hashing import passage_id
from uniner_dist.run import identity as keys
from uniner_dist.run.run import Run, _pin
from uniner_dist.schemas import PROMPTS, SHARDS
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import write_shards

MakeRun = Callable[..., Run]


def make_run_in(folder: Path, shards: list[list[str]], types: list[str], **settings: Any) -> Run:
    """A run in a folder whose prompts stage is done."""
    tree: dict[str, Any] = {
        "corpus": {"path": str(folder / "corpus")},
        "output": {"path": str(folder / "output")},
        "types": types,
        "workdir": str(folder / "work"),
        "pool": {"replicas": 1, "cpus_per_replica": 0.5, "backoff_s": 0.1, **settings.pop("pool", {})},
        "engine": {"kind": "scripted", **settings.pop("engine", {})},
        **settings,
    }
    config = validate_tree(tree)
    identity, snapshot = model.identify(config.model), "0" * 16
    fingerprint = keys.fingerprint(config, identity)
    run = Run(
        config=config,
        layout=RunLayout(config.workdir_path, keys.run_id(config, fingerprint, snapshot)),
        fingerprint=fingerprint,
        model_name="demo",
        model_identity=identity,
        corpus_base="",
        corpus_files=1,
        corpus_bytes=1,
        corpus_partitions=(),
        snapshot=snapshot,
    )
    _pin(run)
    rows = []
    for i, texts in enumerate(shards):
        name = f"{0:05d}-{i:04d}"
        prompts = [{"passage_id": passage_id(t), "text": t, "entity_type": k} for t in texts for k in types]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(prompts, schema=PROMPTS), buffer)
        write_bytes(f"{run.layout.prompts}/shard={name}/part-0.parquet", buffer.getvalue())
        count = len(prompts)
        row = {"shard": name, "prompts": count, "asked": count, "passages": len(texts), "estimated_tokens": count}
        rows.append(row)
    write_shards(run.layout, pa.Table.from_pylist(rows, schema=SHARDS))
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run in a temporary workdir whose prompts stage is done: `make_run([[text, …], …shards], types, **settings)`."""
    return functools.partial(make_run_in, tmp_path)
