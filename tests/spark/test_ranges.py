"""Buckets of passage ids, and the tasks that they are dealt with in."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from uniner_dist.spark.hash_partitioning import bucket_of, keys_of_partitions, partition_key

pytestmark = pytest.mark.spark


def test_every_partition_has_a_key_that_spark_sends_there(spark: SparkSession) -> None:
    for partitions in (1, 2, 7, 200):
        keys = keys_of_partitions(partitions)
        rows = spark.createDataFrame([(key,) for key in keys], "key int")
        hashed = rows.select("key", F.pmod(F.hash("key"), F.lit(partitions)).alias("place")).collect()
        assert {row["key"]: row["place"] for row in hashed} == {key: place for place, key in enumerate(keys)}


def test_products_of_many_buckets_and_tasks_are_whole(spark: SparkSession) -> None:
    buckets, tasks = 1 << 20, 1 << 12
    ids = spark.createDataFrame([("ffffffff",), ("00000000",)], "id string")
    found = ids.select(partition_key(F.col("id"), buckets, tasks)).collect()
    keys = keys_of_partitions(tasks)
    assert [row[0] for row in found] == [keys[-1], keys[0]]


@pytest.mark.parametrize(("buckets", "tasks"), [(1, 1), (2, 2), (6, 4), (64, 16)])
def test_tasks_get_consecutive_buckets_as_many_as_the_others_or_one_more(
    spark: SparkSession, buckets: int, tasks: int
) -> None:
    passage_id = F.substring(F.sha2(F.col("id").cast("string"), 256), 1, 32)
    bucketed = spark.range(2000).select(bucket_of(passage_id, buckets).alias("bucket"), passage_id.alias("passage_id"))
    placed = bucketed.repartition(tasks, partition_key(F.col("passage_id"), buckets, tasks))
    found = placed.select("bucket", F.spark_partition_id().alias("task")).distinct().collect()
    of_task: dict[int, list[int]] = {}
    for row in found:
        of_task.setdefault(row["task"], []).append(row["bucket"])
    assert sorted(bucket for own in of_task.values() for bucket in own) == list(range(buckets))
    assert len(of_task) == tasks
    for own in of_task.values():
        assert len(own) in (buckets // tasks, -(-buckets // tasks))
        assert max(own) - min(own) == len(own) - 1
