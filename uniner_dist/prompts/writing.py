"""Prompt shards as files: each passage with all its questions, adjacent, one Parquet file per shard.

Enters: distinct passages, sorted by id, in Arrow batches inside of a Spark task. Leaves: one file
`prompts/shard=…/part-0.parquet` and one manifest row per shard. The explosion passage × type happens here, behind
shuffle and sort, as indices into one dictionary of texts: a text is held and stored once, however many types are asked.
Files are whole or absent and their names are fixed, so a retried or speculative task writes the same file again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from uniner_dist.prompts.packing import FREQUENT, Packing, PlannedShard, bucket_of
from uniner_dist.schemas import PROMPTS, SCHEMA_VERSION, SHARDS
from uniner_dist.storage.filesystem import join, write_bytes
from uniner_dist.storage.layout import RunLayout


def distinct_passages(passages: DataFrame, occurrences: DataFrame, packing: Packing, partitions: int) -> DataFrame:
    """`passage_id` and `text`, each bucket in one task and sorted: the one shuffle of texts.

    Neighbouring repeats are left in and dropped by the writer. Passages that stand in very many documents would all
    meet in one task, so those are reduced to one each before the shuffle.
    """
    texts = passages.select("passage_id", "text")
    if packing.most_frequent > FREQUENT:
        counted = occurrences.groupBy("passage_id").count().where(F.col("count") > FREQUENT)
        frequent = F.broadcast(counted.select("passage_id"))
        once = texts.join(frequent, "passage_id", "left_semi").groupBy("passage_id").agg(F.first("text").alias("text"))
        texts = texts.join(frequent, "passage_id", "left_anti").unionByName(once)
    bucket = bucket_of(F.col("passage_id"), packing.buckets)
    return texts.repartition(partitions, bucket).sortWithinPartitions("passage_id")


@dataclass
class _Open:
    """Passages of the shard that is being collected."""

    shard: PlannedShard
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class ShardWriter:
    """The function that Spark runs over sorted Arrow batches of (`passage_id`, `text`); yields rows of `SHARDS`."""

    def __init__(self, layout: RunLayout, asks: Sequence[str], packing: Callable[[], Packing]) -> None:
        self._layout = layout
        self._asks = tuple(asks)
        self._packing = packing

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for group in self._group(batches):
            yield self._write(group)

    def _group(self, batches: Iterator[pa.RecordBatch]) -> Iterator[_Open]:
        """Passages shard by shard, repeats dropped."""
        packing = self._packing()
        group: _Open | None = None
        last, end = None, None
        for batch in batches:
            for passage_id, text in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                if passage_id == last:
                    continue
                last = passage_id
                if group is None or (end is not None and passage_id >= end):
                    if group is not None:
                        yield group
                    shard, end = packing.shard_of(passage_id)
                    group = _Open(shard)
                group.ids.append(passage_id)
                group.texts.append(text)
        if group is not None:
            yield group

    def _write(self, group: _Open) -> pa.RecordBatch:
        name = group.shard.name
        data = encode_prompts(group.ids, group.texts, self._asks)
        write_bytes(join(self._layout.prompts, f"shard={name}", "part-0.parquet"), data)
        row = {
            "shard": name,
            "prompts": len(group.ids) * len(self._asks),
            "passages": len(group.ids),
            "estimated_tokens": group.shard.tokens,
        }
        return pa.RecordBatch.from_pylist([row], schema=SHARDS)


def encode_prompts(ids: Sequence[str], texts: Sequence[str], asks: Sequence[str]) -> bytes:
    """A Parquet file of `PROMPTS`: every passage with every ask, in order.

    Strings go in as dictionary indices and stay so on disk; with the default dictionary limit (1 MB) Parquet would
    store a text again for every type.
    """
    passages, types = len(ids), len(asks)
    passage = np.repeat(np.arange(passages, dtype=np.int32), types)
    entity_type = np.tile(np.arange(types, dtype=np.int32), passages)
    arrays = [
        pa.DictionaryArray.from_arrays(passage, pa.array(ids, pa.string())),
        pa.DictionaryArray.from_arrays(passage, pa.array(texts, pa.string())),
        pa.DictionaryArray.from_arrays(entity_type, pa.array(asks, pa.string())),
    ]
    fields = [pa.field(f.name, a.type, f.nullable) for f, a in zip(PROMPTS, arrays, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, {"uniner.schema_version": str(SCHEMA_VERSION)}))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30)
    return buffer.getvalue()
