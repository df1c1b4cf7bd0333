"""Stage 2 without Ray: a real replica with the scripted engine, in the process of the test, and what its engine got."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from uniner_dist.completions.policy import Work
from uniner_dist.completions.replica import Replica
from uniner_dist.completions.stage import _replica_spec
from uniner_dist.run import Run
from uniner_dist.storage.shards import committed_shards, read_shards, shards_with_known_answers


def answer(run: Run, shards: int | None = None) -> Counter[tuple[str, str]]:
    """Complete the open shards of a run, or only the first so many.

    Returns:
        Every (text, question) that the engine received, which the run's `engine.extra.log` names a file for.
    """
    log = Path(run.config.engine.extra["log"])
    log.write_text("")
    known, committed = shards_with_known_answers(run.layout), committed_shards(run.layout)
    todo = [shard for shard in read_shards(run.layout)["shard"].to_pylist() if shard not in committed]
    if todo:
        replica = Replica(_replica_spec(run))
        replica.start()
        for shard in todo[:shards]:
            replica.complete(Work(shard, known=shard in known))
        replica.stop()
    return Counter(tuple(json.loads(line)) for line in log.read_text().splitlines())
