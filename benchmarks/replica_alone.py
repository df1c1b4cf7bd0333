"""A replica of this project without Spark, Ray and pool: its own packing, engine and files, in the calling process.

Enters: texts and entity types. Leaves: one completions file per shard in a folder, exactly as a replica of the pool
writes it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist import model
from uniner_dist.completions.engine import EngineSpec
from uniner_dist.completions.replica import Replica, ReplicaSpec, WorkResult
from uniner_dist.completions.work import WorkItem
from uniner_dist.config.schema import ModelConfig, PoolConfig
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.template import DEFAULT_TEMPLATE
from uniner_dist.schemas import PROMPTS
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout
from uniner_dist.storage.shards import read_completions

_FINGERPRINT = "benchmark"


def layout_in(folder: Path) -> RunLayout:
    """Where shards and completions of a benchmark stand."""
    return RunLayout(str(folder), "benchmark")


def write_prompt_shards(folder: Path, texts: Sequence[str], types: Sequence[str], shards: int) -> list[str]:
    """Cut the texts into shards in the order of their passage ids, as the prompts stage does; returns their names."""
    passages = sorted({passage_id(text): text for text in texts}.items())
    names = []
    for number in range(shards):
        part = passages[number * len(passages) // shards : (number + 1) * len(passages) // shards]
        rows = [{"passage_id": key, "text": text, "entity_type": kind} for key, text in part for kind in types]
        names.append(f"{0:05d}-{number:04d}")
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=PROMPTS), buffer)
        write_bytes(f"{layout_in(folder).prompts}/shard={names[-1]}/part-0.parquet", buffer.getvalue())
    return names


def load_replica(folder: Path, engine: EngineSpec, max_in_flight: int) -> Replica:
    """A replica whose engine is loaded; `max_in_flight` is the pool's setting of that name."""
    spec = ReplicaSpec(
        engine=engine,
        layout=layout_in(folder),
        store=StoreLayout(str(folder / "store"), _FINGERPRINT),
        fingerprint=_FINGERPRINT,
        template=DEFAULT_TEMPLATE,
        tokenizer_json=model.load_tokenizer_json(ModelConfig(name=engine.model.name)),
        max_in_flight=max_in_flight,
    )
    replica = Replica(spec)
    replica.start()
    return replica


def complete_all(
    replica: Replica, shards: Sequence[str], at_a_time: int = PoolConfig().shards_in_flight
) -> list[WorkResult]:
    """Answer every shard, by default with as many at a time as the pool would hand out."""
    with ThreadPoolExecutor(at_a_time) as threads:
        return list(threads.map(lambda shard: replica.complete(WorkItem(shard)), shards))


def read_answers(folder: Path, shards: Sequence[str]) -> dict[str, str]:
    """Passage id and entity type, with a space between → answer."""
    answers: dict[str, str] = {}
    for shard in shards:
        for row in read_completions(layout_in(folder).completions_file(shard), shard, _FINGERPRINT).to_pylist():
            answers[f"{row['passage_id']} {row['entity_type']}"] = row["output"] or ""
    return answers
