"""Compaction of the store (Spark): many small files of cells become few large ones, while readers and writers work.

Writes large files, each a range of passage ids without repeated cells, and a manifest that replaces the small files by
them in one step. Replaced files are deleted by a compaction after a grace period, when nobody who listed them can still
be reading. New contributions meanwhile are simply not part of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.schemas import CELLS, SCHEMA_VERSION
from uniner_dist.spark.datasets import map_in_arrow, read_files
from uniner_dist.spark.hash_partitioning import bucket_of, partition_key
from uniner_dist.spark.stage import LISTS_IN_ARROW, describe, settings, stage
from uniner_dist.spark.types import spark_schema
from uniner_dist.storage.answer_store import (
    GRACE_S,
    compacted_name,
    compaction_stem,
    live_files,
    next_sequence,
    sweep,
    write_manifest,
)
from uniner_dist.storage.filesystem import file_size, find_files, join, write_bytes
from uniner_dist.storage.lease import Lease
from uniner_dist.storage.place_layout import StoreLayout

#: Smaller files are worth merging; a merged file is about as large as the second figure (some 4 million answers, which
#: one task sorts), so it is left alone later.
SMALL_BYTES, TARGET_BYTES = 8 << 20, 32 << 20

#: Rows of a row group: some 30 MB of answers; a reader of one range of passages need not read the others.
_GROUP_ROWS = 1 << 19

_KEYS = ("passage_id", "entity_type")

_WRITTEN = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("cells", pa.int64(), nullable=False),
        pa.field("repeats", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Compaction:
    """Result of the compaction of one part of a store.

    Attributes:
        fingerprint: of the part.
        merged: small files that were replaced.
        written: files that replace them.
        cells: answers in the written files.
        repeats: repeated answers that were dropped.
        deleted: files that earlier compactions had replaced.
    """

    fingerprint: str
    merged: int = 0
    written: int = 0
    cells: int = 0
    repeats: int = 0
    deleted: int = 0


def compact(
    spark: SparkSession, layout: StoreLayout, lease: Lease, grace_s: float = GRACE_S, small_bytes: int = SMALL_BYTES
) -> Compaction:
    """Merge the small files of one fingerprint, and delete what earlier compactions replaced.

    Args:
        spark: session whose tasks read and write the files of answers.
        layout: of the part of the store that belongs to one fingerprint.
        lease: of this part of the store.
        grace_s: seconds that replaced files stay, so that readers who have listed them can finish.
        small_bytes: files of this size in bytes or larger are left alone.

    Returns:
        What was done; with fewer than two small files nothing is merged.

    Raises:
        RunHeldError: another process has taken over; nothing was replaced.
    """
    lease.check()
    deleted, sequence = sweep(layout, grace_s), next_sequence(layout)
    sizes = small_files(layout, small_bytes)
    small = list(sizes)
    if not small:
        return Compaction(layout.fingerprint, deleted=deleted)
    buckets = max(1, ceil(sum(sizes.values()) / TARGET_BYTES))
    with stage(spark, "compact"), settings(spark, LISTS_IN_ARROW):
        describe(spark, f"compact {len(small):,} files of cells")
        written = _write(spark, layout, small, buckets)
    lease.check()
    write_manifest(layout, sequence, [one.file for one in written], small)
    cells, repeats = sum(one.cells for one in written), sum(one.repeats for one in written)
    return Compaction(layout.fingerprint, len(small), len(written), cells, repeats, deleted)


def small_files(layout: StoreLayout, small_bytes: int = SMALL_BYTES) -> dict[str, int]:
    """Return the files that a compaction would merge, by name with their size in bytes; none where there is only one.

    Args:
        layout: of the part of the store that belongs to one fingerprint.
        small_bytes: files of this size in bytes or larger are left alone.
    """
    sizes = {name: file_size(info) for name, info in _files(layout).items()}
    small = {name: sizes.get(name, 0) for name in live_files(layout) if sizes.get(name, 0) < small_bytes}
    return small if len(small) > 1 else {}


def _files(layout: StoreLayout) -> dict[str, dict[str, object]]:
    try:
        return find_files(layout.cells, ".parquet")
    except FileNotFoundError:
        return {}


@dataclass(frozen=True)
class WrittenFile:
    """A row of `_WRITTEN`."""

    file: str
    cells: int
    repeats: int


def _write(spark: SparkSession, layout: StoreLayout, names: list[str], buckets: int) -> list[WrittenFile]:
    """Rewrite the cells of some files; returns one entry per file, and only these reach the driver."""
    cells = read_files(spark, layout.cells, names, spark_schema(CELLS))
    ordered = _ordered(cells, buckets)
    rows = map_in_arrow(ordered, CellWriter(layout), spark_schema(_WRITTEN)).collect()
    return [WrittenFile(**row.asDict()) for row in rows]


def _ordered(cells: DataFrame, buckets: int) -> DataFrame:
    """Cells by range of ids, repeats side by side: first the ones with log-probabilities, which serve every run."""
    passage_id = F.col("passage_id")
    bucketed = cells.withColumn("bucket", bucket_of(passage_id, buckets))
    placed = bucketed.repartition(buckets, partition_key(passage_id, buckets, buckets))
    return placed.sortWithinPartitions(*_KEYS, F.col("logprobs").isNull(), "output")


class CellWriter:
    """The function that Spark runs over Arrow batches of ordered cells with their `bucket`; yields rows of `_WRITTEN`.

    A file is written when its last cell has come, so a task holds one file, compressed, and one row group.

    Each attempt of a task has a stem of its own for its files; the manifest names the ones that count.

    Args:
        layout: the part of the store.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write one file per bucket, and yield a row of `_WRITTEN` for each."""
        current: _File | None = None
        stem = compaction_stem()
        for batch in batches:
            table = pa.Table.from_batches([batch])
            for bucket in pc.unique(batch.column("bucket")).to_pylist():
                if current is not None and current.bucket != bucket:
                    yield self._close(current, stem)
                    current = None
                current = current or _File(bucket)
                current.add(table.filter(pc.equal(table["bucket"], bucket)))
        if current is not None:
            yield self._close(current, stem)

    def _close(self, file: _File, stem: str) -> pa.RecordBatch:
        name = compacted_name(stem, file.bucket)
        write_bytes(join(self._layout.cells, name), file.close())
        row = {"file": name, "cells": file.cells, "repeats": file.repeats}
        return pa.RecordBatch.from_pylist([row], schema=_WRITTEN)


class _File:
    """One file in the making."""

    def __init__(self, bucket: int) -> None:
        self.bucket, self.cells, self.repeats = bucket, 0, 0
        self._last: list[str] | None = None
        self._held: list[pa.Table] = []
        self._buffer = io.BytesIO()
        schema = CELLS.with_metadata({"uniner.schema_version": str(SCHEMA_VERSION)})
        self._writer = pq.ParquetWriter(self._buffer, schema, compression="zstd")

    def add(self, cells: pa.Table) -> None:
        """Append ordered cells; of repeats only the first stays."""
        keys = [cells[name].combine_chunks() for name in _KEYS]
        first = self._last is None or [key[0].as_py() for key in keys] != self._last
        new = pa.array([first])
        if len(cells) > 1:
            differ = pc.or_(*[pc.not_equal(key[1:], key[:-1]) for key in keys])
            new = pa.concat_arrays([new, differ])
        self._last = [key[-1].as_py() for key in keys]
        kept = cells.filter(new).select(CELLS.names).cast(CELLS)
        self.cells += kept.num_rows
        self.repeats += cells.num_rows - kept.num_rows
        self._held.append(kept)
        if sum(table.num_rows for table in self._held) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> bytes:
        """The whole file."""
        self._flush()
        self._writer.close()
        return self._buffer.getvalue()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
        self._held = []
