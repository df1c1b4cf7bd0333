"""The shards of a run, as the prompts stage listed them."""

from __future__ import annotations

from uniner_dist.completions.work import Shard
from uniner_dist.errors import StageError
from uniner_dist.run.run import Run
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.shards import read_shards


def read_manifest(run: Run) -> list[Shard]:
    """Return the shards of a run, from the manifest that the prompts stage wrote.

    Args:
        run: a run whose prompts stage is done.

    Raises:
        StageError: the prompts stage is not done.
        ControlFileError: the manifest is damaged.
    """
    if not exists(run.layout.shards):
        raise StageError(f"run {run.id}: the prompts stage is not done; run `uniner-dist prompts` first")
    table = read_shards(run.layout)
    columns = (table.column(name).to_pylist() for name in ("shard", "prompts", "asked", "estimated_tokens", "skipped"))
    return [Shard(*row) for row in zip(*columns, strict=True)]
