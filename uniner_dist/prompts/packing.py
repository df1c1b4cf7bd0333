"""Which passage goes into which shard, decided without touching a text.

Enters: occurrences. Leaves: a `Packing`: for every shard the first passage id and its counts. Passage ids are uniform
hashes, so a shard is a range of them, cut where the estimated tokens say so; the same passages give the same shards
whatever order, files or partitions the corpus came in. The driver sees one small row per shard.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import ceil

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

#: Shards in a bucket, the range of passage ids that one task sorts and writes: big enough to be balanced by the law of
#: large numbers, small enough to be sorted in memory (16 shards of a million tokens hold some 20 MB of distinct text).
_SHARDS_PER_BUCKET = 16

#: A passage that stands in more documents than this is deduplicated before the shuffle, where it would be skew.
FREQUENT = 10_000


@dataclass(frozen=True)
class PromptCost:
    """Tokens of a prompt beside its text: the frame of the prefix, once per passage, and every question."""

    frame: int
    suffixes: int
    types: int

    def of(self, text_tokens: Column) -> Column:
        """Estimated tokens of a passage with all its questions."""
        return text_tokens.cast("long") + F.lit(self.frame + self.suffixes)


@dataclass(frozen=True)
class PlannedShard:
    """One shard: `first` is its smallest passage id."""

    name: str
    bucket: int
    first: str
    passages: int
    tokens: int


@dataclass(frozen=True)
class Packing:
    """All shards in the order of passage ids."""

    buckets: int
    shards: tuple[PlannedShard, ...]
    most_frequent: int  # how often the most frequent passage stands in the corpus

    def shard_of(self, passage_id: str) -> tuple[PlannedShard, str | None]:
        """The shard a passage belongs to, and the first passage id behind that shard."""
        behind = bisect_right(self.shards, passage_id, key=lambda shard: shard.first)
        return self.shards[behind - 1], self.shards[behind].first if behind < len(self.shards) else None


def plan_packing(
    occurrences: DataFrame, cost: PromptCost, most_tokens: int, shard_tokens: int, min_shards: int
) -> Packing:
    """Cut the passages into shards of about `shard_tokens`, and at least about `min_shards` of them.

    Args:
        occurrences: at least one.
        most_tokens: estimated tokens if no passage were repeated; says how many buckets there are to be.
    """
    wanted = max(ceil(most_tokens / shard_tokens), min_shards)
    buckets = max(1, round(wanted / _SHARDS_PER_BUCKET))
    cut = _cut(_unique(occurrences, cost, buckets), shard_tokens, ceil(min_shards / buckets))
    rows = sorted(cut.collect(), key=lambda row: row["first"])  # one row per shard, never per passage
    shards = (
        PlannedShard(
            f"{row['bucket']:05d}-{row['index']:04d}", row["bucket"], row["first"], row["passages"], row["tokens"]
        )
        for row in rows
    )
    return Packing(buckets, tuple(shards), max(row["frequent"] for row in rows))


def bucket_of(passage_id: Column, buckets: int) -> Column:
    """Number of the range that a passage id falls in: its first 32 bits, scaled. Ranges keep the order of ids."""
    head = F.conv(F.substring(passage_id, 1, 8), 16, 10).cast("long")
    return F.shiftright(head * F.lit(buckets), 32).cast("int")


def _unique(occurrences: DataFrame, cost: PromptCost, buckets: int) -> DataFrame:
    """One row per distinct passage: `passage_id`, `tokens`, `places`, `bucket`."""
    tokens = cost.of(F.max("estimated_tokens"))
    unique = occurrences.groupBy("passage_id").agg(tokens.alias("tokens"), F.count("*").alias("places"))
    return unique.withColumn("bucket", bucket_of(F.col("passage_id"), buckets))


def _cut(unique: DataFrame, shard_tokens: int, min_shards: int) -> DataFrame:
    """One row per shard: `bucket`, `index`, `first`, `passages`, `tokens`, `frequent`.

    A passage belongs to the slice in which the middle of its tokens lies, so shards of a bucket differ by less than
    their longest passage.
    """
    bucket = Window.partitionBy("bucket")
    before = bucket.orderBy("passage_id").rowsBetween(Window.unboundedPreceding, -1)
    middle = F.coalesce(F.sum("tokens").over(before), F.lit(0)) + F.col("tokens") / 2
    total, count = F.sum("tokens").over(bucket), F.count("*").over(bucket)
    slices = F.least(count, F.greatest(F.ceil(total / F.lit(shard_tokens)), F.lit(min_shards)))
    index = F.floor(middle * slices / total).cast("int")
    return (
        unique.withColumn("index", index)
        .groupBy("bucket", "index")
        .agg(
            F.min("passage_id").alias("first"),
            F.count("*").alias("passages"),
            F.sum("tokens").alias("tokens"),
            F.max("places").alias("frequent"),
        )
    )
