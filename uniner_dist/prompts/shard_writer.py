"""Prompt shards as files: each passage with all its questions, adjacent, one Parquet file per shard.

Takes passages sorted by id, bucket by bucket, in Arrow batches inside a Spark task, with their cached answers. Writes
one file `prompts/shard=…/part-0.parquet` and yields one manifest row per shard. The explosion passage × type happens
here, after shuffle and sort, as indices into one dictionary of texts: a text is held and stored once, however many
types are asked. Passages with nothing left to ask have shards of their own, which are committed here and never reach a
replica; the cached answers of the others go along with their shard.

A task may be tried again or twice at the same time, and two attempts need not cut a bucket alike. So the names of an
attempt's shards are its own, and bear the fencing token of the run's lease; the manifest says which shards count.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from uniner_dist.prompts.packing import Packing, cut_bucket
from uniner_dist.prompts.reuse import CachedAnswers, with_cells
from uniner_dist.prompts.selection import Everything, Flags, Selected, Selection
from uniner_dist.schemas import PROMPTS, SCHEMA_VERSION, SHARDS
from uniner_dist.spark.hash_partitioning import bucket_of, partition_key
from uniner_dist.storage.attempts import new_attempt
from uniner_dist.storage.filesystem import join, write_bytes
from uniner_dist.storage.layout import PROMPTS_FILE, RunLayout
from uniner_dist.storage.shards import write_completions

#: Occurrences that are sampled to find passages of very many documents.
_SAMPLE = 200_000

#: Occurrences in the sample from which on a passage is frequent: about 0.05 % of all occurrences.
_OFTEN = 100


def sorted_passages(texts: DataFrame, cells: DataFrame | None, packing: Packing, partitions: int) -> DataFrame:
    """Return passages with each bucket in one task and sorted by id: `bucket`, `passage_id`, `text` and maybe `cells`.

    This is the one shuffle of texts. Repeats are left in and dropped by the writer, which meets them side by side.

    Args:
        texts: passages with `passage_id` and `text`, repeats allowed.
        cells: cached answers from `read_cells`, which become `cells`; None where the store has none.
        packing: its number of buckets.
        partitions: number of tasks that write; at most as many as buckets.
    """
    passage_id = F.col("passage_id")
    task, bucket = partition_key(passage_id, packing.buckets, partitions), bucket_of(passage_id, packing.buckets)
    placed = texts.select(task.alias("task"), bucket.alias("bucket"), "passage_id", "text").repartition(
        partitions, "task"
    )
    if cells is not None:
        placed = with_cells(placed, cells, packing.buckets, partitions)
    return placed.drop("task").sortWithinPartitions("passage_id")  # the order that the join has made already


def drop_frequent_duplicates(texts: DataFrame, occurrences: DataFrame, count: int, doc_id: Column) -> DataFrame:
    """Drop repeats of passages that occur in a large share of all documents, keeping one occurrence of each.

    All of them would meet in one task of the shuffle. They are found in a sample of the occurrences.

    Args:
        texts: passages, with `document`, `passage` and `passage_id`.
        occurrences: one row per occurrence of a passage in a document, with the same columns.
        count: about how many occurrences there are, above 0.
        doc_id: the id inside of `document`.

    Returns:
        Rows of `texts`; repeats of passages that are not frequent stay.
    """
    sample = occurrences.select("passage_id").sample(fraction=min(1.0, _SAMPLE / count), seed=0)
    often = sample.groupBy("passage_id").count().where(F.col("count") >= _OFTEN)
    ids = [row["passage_id"] for row in often.collect()]  # a share of 0.05 % each: at most 2,000
    if not ids:
        return texts
    frequent, key = F.col("passage_id").isin(ids), F.xxhash64(doc_id, F.col("passage"))
    first = occurrences.where(frequent).groupBy("passage_id").agg(F.min(key).alias("key")).collect()
    return texts.where(~frequent | key.isin([row["key"] for row in first]))


class ShardWriter:
    """The function that Spark runs over Arrow batches of `sorted_passages`; yields rows of `SHARDS`.

    Args:
        layout: of the run, whose folders the shards go into and whose fencing token is part of their names.
        fingerprint: key of the answers.
        asks: the questions, in order.
        packing: how buckets are cut.
        selection: which prompts are asked; all by default.
    """

    def __init__(
        self,
        layout: RunLayout,
        fingerprint: str,
        asks: Sequence[str],
        packing: Packing,
        selection: Selection | None = None,
    ) -> None:
        self._selection = selection or Everything()
        self._layout = layout
        self._fingerprint = fingerprint
        self._asks = tuple(asks)
        self._packing = packing

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the shards of every bucket, and yield a manifest row for each; batches come sorted by bucket and id."""
        by = f"{self._layout.token}-{new_attempt()}"
        for bucket, passages in _whole_buckets(batches):
            yield from self._write_bucket(bucket, _without_repeats(passages), by)

    def _write_bucket(self, bucket: int, passages: pa.Table, by: str) -> Iterator[pa.RecordBatch]:
        text_bytes = pc.binary_length(passages["text"]).to_numpy().astype(np.int64)
        if "cells" in passages.column_names:
            answers = CachedAnswers(passages["cells"].combine_chunks(), self._asks)
        else:
            answers = CachedAnswers.nothing(passages.num_rows, self._asks)
        chosen = self._selection.select(passages, answers.missing)
        skipped = answers.missing & ~chosen.asked
        size, tokens = self._packing.shard_tokens, self._packing.tokens(text_bytes, chosen.asked)
        open_ones, known_ones = np.flatnonzero(tokens), np.flatnonzero(tokens == 0)
        for index, rows in _slices(open_ones, tokens, size, self._packing.min_shards):
            name = self._packing.shard_name(bucket, index, by)
            ids = self._write_prompts(name, passages.take(pa.array(rows)))
            if not chosen.asked[rows].all():
                path = self._layout.known_file(name)
                known = answers.completions(ids, rows, chosen)
                write_completions(path, name, self._fingerprint, known, exclusive=False)
            self._write_checks(name, ids, rows, chosen)
            yield self._manifest_row(name, chosen.asked[rows], skipped[rows], tokens[rows])
        if self._selection.is_partial:
            return
        everything = np.ones_like(chosen.asked)
        for index, rows in _slices(known_ones, self._packing.tokens(text_bytes, everything), size, 1):
            name = self._packing.shard_name(bucket, index, by, known=True)
            ids = self._write_prompts(name, passages.take(pa.array(rows)))
            path = self._layout.completions_file(name)
            known = answers.completions(ids, rows, chosen)
            write_completions(path, name, self._fingerprint, known, exclusive=False)
            yield self._manifest_row(name, chosen.asked[rows], skipped[rows], tokens[rows])

    def _write_checks(self, name: str, ids: pa.Array, rows: npt.NDArray[np.int64], chosen: Selected) -> None:
        """Write which prompts of a shard are asked only to check, if any."""
        cells = np.argwhere(chosen.checked[rows])
        if not len(cells):
            return
        columns = {
            "passage_id": ids.take(pa.array(cells[:, 0])),
            "entity_type": pa.array(self._asks, pa.string()).take(pa.array(cells[:, 1])),
            "score": pa.array(chosen.scores[rows][tuple(cells.T)], pa.float32()),
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, compression="zstd")
        write_bytes(self._layout.check_file(name), buffer.getvalue())

    def _manifest_row(self, name: str, asked: Flags, skipped: Flags, tokens: npt.NDArray[np.int64]) -> pa.RecordBatch:
        row = {
            "shard": name,
            "prompts": asked.size,
            "asked": int(asked.sum()),
            "skipped": int(skipped.sum()),
            "passages": len(asked),
            "estimated_tokens": int(tokens.sum()),
        }
        return pa.RecordBatch.from_pylist([row], schema=SHARDS)

    def _write_prompts(self, name: str, passages: pa.Table) -> pa.Array:
        """Write a shard; returns the ids of its passages."""
        ids, texts = (passages[column].combine_chunks() for column in ("passage_id", "text"))
        data = encode_prompts(ids, texts, self._asks)
        write_bytes(join(self._layout.prompts_folder(name), PROMPTS_FILE), data)
        return ids


def _slices(
    rows: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64], shard_tokens: int, min_shards: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Number of each slice of some rows of a bucket, and its rows."""
    if not len(rows):
        return
    slices = cut_bucket(tokens[rows], shard_tokens, min_shards)
    starts = np.flatnonzero(np.diff(slices, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(slices)], strict=True):
        yield int(slices[start]), rows[start:end]


def _whole_buckets(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """All rows of one bucket after the other; buckets follow each other in the order of ids."""
    held: list[pa.RecordBatch] = []
    current = -1
    for batch in batches:
        if not batch.num_rows:
            continue
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
    """Return the bytes of a Parquet file of `PROMPTS`: every passage with every question, in order.

    Strings go in as dictionary indices and stay so on disk; with the default dictionary limit (1 MB) Parquet would
    store a text again for every type.

    Args:
        ids: passage ids, in the order of the file.
        texts: the passages, in the same order.
        asks: the questions, in order.
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
