"""Prompt shards as files: each passage with all its questions, adjacent, one Parquet file per shard.

Enters: passages sorted by id, bucket by bucket, in Arrow batches inside of a Spark task. Leaves: one file
`prompts/shard=…/part-0.parquet` and one manifest row per shard. The explosion passage × type happens here, behind
shuffle and sort, as indices into one dictionary of texts: a text is held and stored once, however many types are asked.
Files are whole or absent and their names are fixed, so a retried or speculative task writes the same file again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from uniner_dist.prompts.packing import BYTES_PER_TOKEN, Packing, bucket_of, cut_bucket
from uniner_dist.schemas import PROMPTS, SCHEMA_VERSION, SHARDS
from uniner_dist.storage.filesystem import join, write_bytes
from uniner_dist.storage.layout import RunLayout

#: Occurrences that are looked at to find passages that stand in very many documents.
_SAMPLE = 200_000

#: Seen so often in the sample, a passage is frequent: it has at least some 0.05 % of all occurrences.
_OFTEN = 100


def sorted_passages(texts: DataFrame, packing: Packing, partitions: int) -> DataFrame:
    """`bucket`, `passage_id`, `text`, each bucket in one task and sorted by id: the one shuffle of texts.

    Repeats are left in and dropped by the writer, who sees them side by side.
    """
    bucketed = texts.select(bucket_of(F.col("passage_id"), packing.buckets).alias("bucket"), "passage_id", "text")
    return bucketed.repartition(partitions, "bucket").sortWithinPartitions("passage_id")


def thin_frequent(texts: DataFrame, places: DataFrame, count: int, doc_id: Column) -> DataFrame:
    """Leave out the repeats of passages that stand in a good share of all documents, all but one place of each.

    All of them would meet in one task of the shuffle. Which passages these are is seen in a sample of the occurrences.

    Args:
        texts: passages, with `document`.
        places: the occurrences.
        count: how many occurrences there are.
        doc_id: the id inside of `document`.
    """
    sample = places.select("passage_id").sample(fraction=min(1.0, _SAMPLE / count), seed=0)
    often = sample.groupBy("passage_id").count().where(F.col("count") >= _OFTEN)
    ids = [row["passage_id"] for row in often.collect()]  # a share of 0.05 % each: at most 2,000
    if not ids:
        return texts
    frequent, place = F.col("passage_id").isin(ids), F.xxhash64(doc_id, F.col("passage"))
    first = places.where(frequent).groupBy("passage_id").agg(F.min(place).alias("place")).collect()
    return texts.where(~frequent | place.isin([row["place"] for row in first]))


class ShardWriter:
    """The function that Spark runs over Arrow batches of `sorted_passages`; yields rows of `SHARDS`.

    Args:
        layout: where the shards go.
        asks: the questions, in order.
        packing: how buckets are cut.
    """

    def __init__(self, layout: RunLayout, asks: Sequence[str], packing: Packing) -> None:
        self._layout = layout
        self._asks = tuple(asks)
        self._packing = packing

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for bucket, passages in _whole_buckets(batches):
            yield from self._write_bucket(bucket, _without_repeats(passages))

    def _write_bucket(self, bucket: int, passages: pa.Table) -> Iterator[pa.RecordBatch]:
        text_bytes = pc.binary_length(passages["text"]).to_numpy().astype(np.int64)
        tokens = -(-text_bytes // BYTES_PER_TOKEN) + self._packing.passage_cost
        slices = cut_bucket(tokens, self._packing)
        starts = np.flatnonzero(np.diff(slices, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(slices)], strict=True):
            name = self._packing.shard_name(bucket, int(slices[start]))
            self._write_shard(name, passages.slice(start, end - start))
            row = {
                "shard": name,
                "prompts": int(end - start) * len(self._asks),
                "passages": int(end - start),
                "estimated_tokens": int(tokens[start:end].sum()),
            }
            yield pa.RecordBatch.from_pylist([row], schema=SHARDS)

    def _write_shard(self, name: str, passages: pa.Table) -> None:
        ids, texts = (passages[column].combine_chunks() for column in ("passage_id", "text"))
        data = encode_prompts(ids, texts, self._asks)
        write_bytes(join(self._layout.prompts, f"shard={name}", "part-0.parquet"), data)


def _whole_buckets(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """All rows of one bucket after the other; buckets follow each other in the order of ids."""
    held: list[pa.RecordBatch] = []
    current = -1
    for batch in batches:
        buckets = batch.column("bucket").to_numpy()
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(buckets)], strict=True):
            if held and current != buckets[start]:
                yield current, pa.Table.from_batches(held)
                held = []
            current = int(buckets[start])
            held.append(batch.slice(start, end - start))
    if held:
        yield current, pa.Table.from_batches(held)


def _without_repeats(passages: pa.Table) -> pa.Table:
    """Rows whose id differs from the one before."""
    ids = passages["passage_id"].combine_chunks()
    if len(ids) < 2:
        return passages
    new = pc.not_equal(ids[1:], ids[:-1])
    return passages.filter(pa.concat_arrays([pa.array([True]), new]))


def encode_prompts(ids: pa.Array, texts: pa.Array, asks: Sequence[str]) -> bytes:
    """A Parquet file of `PROMPTS`: every passage with every ask, in order.

    Strings go in as dictionary indices and stay so on disk; with the default dictionary limit (1 MB) Parquet would
    store a text again for every type.
    """
    passages, types = len(ids), len(asks)
    passage = np.repeat(np.arange(passages, dtype=np.int32), types)
    entity_type = np.tile(np.arange(types, dtype=np.int32), passages)
    arrays = [
        pa.DictionaryArray.from_arrays(passage, ids),
        pa.DictionaryArray.from_arrays(passage, texts),
        pa.DictionaryArray.from_arrays(entity_type, pa.array(asks, pa.string())),
    ]
    fields = [pa.field(f.name, a.type, f.nullable) for f, a in zip(PROMPTS, arrays, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, {"uniner.schema_version": str(SCHEMA_VERSION)}))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30)
    return buffer.getvalue()
