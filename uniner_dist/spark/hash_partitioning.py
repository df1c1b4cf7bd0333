"""Ranges of passage ids as Spark columns: the bucket of an id, and the task that processes this bucket.

Spark distributes the values of a column by their hash, so that by chance some tasks would get several of a few numbered
buckets and others none; here each task gets its part of the buckets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

#: Spark's seed for hash partitioning.
_SEED = 42


def bucket_of(passage_id: Column, buckets: int) -> Column:
    """Return the number of the range of each passage id: its first 32 bits, scaled. Ranges keep the order of ids.

    Args:
        passage_id: column of strings that begin with 8 or more hex digits of a hash.
        buckets: number of equal ranges.

    Returns:
        Integers from 0 to `buckets` - 1.
    """
    head = F.conv(F.substring(passage_id, 1, 8), 16, 10).cast("long")
    return F.shiftright(head * F.lit(buckets), 32).cast("int")


def partition_key(passage_id: Column, buckets: int, tasks: int) -> Column:
    """Return a key by which `repartition(tasks, key)` gives each task consecutive buckets.

    The numbers of buckets of two tasks differ by at most 1.

    Args:
        passage_id: column of strings that begin with 8 or more hex digits of a hash.
        buckets: number of equal ranges of passage ids.
        tasks: number of partitions; at most `buckets`.

    Returns:
        Integers, one value for each task.
    """
    keys = ",".join(map(str, keys_of_partitions(tasks)))
    task = F.floor(bucket_of(passage_id, buckets).cast("long") * tasks / buckets).cast("int")
    return F.element_at(F.expr(f"array({keys})"), task + 1)


def keys_of_partitions(partitions: int) -> list[int]:
    """Return for each partition, in order, the least integer from 0 on that Spark's hash partitioning sends there.

    Args:
        partitions: how many there are.
    """
    keys: npt.NDArray[np.int64] = np.full(partitions, -1, dtype=np.int64)
    begin, step = 0, 4 * partitions
    while (keys < 0).any():
        tried = np.arange(begin, begin + step, dtype=np.int64)
        found, places = np.unique(_spark_hash(tried) % partitions, return_index=True)
        keys[found] = np.where(keys[found] < 0, tried[places], keys[found])
        begin += step
    return [int(key) for key in keys]


def _spark_hash(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Spark's `hash` of integers: MurmurHash3 (x86, 32 bits) of four bytes.

    A Spark with another hash would only distribute the buckets less evenly.
    """
    key = _rotated(values.astype(np.uint32) * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
    mixed = _rotated(key ^ np.uint32(_SEED), 13) * np.uint32(5) + np.uint32(0xE6546B64)
    mixed ^= np.uint32(4)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return (mixed ^ (mixed >> np.uint32(16))).view(np.int32).astype(np.int64)


def _rotated(values: npt.NDArray[np.uint32], by: int) -> npt.NDArray[np.uint32]:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))
