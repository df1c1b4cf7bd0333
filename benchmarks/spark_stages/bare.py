"""The barest Spark jobs that move the rows of a stage: column expressions and one `write.parquet`, nothing checked.

They get the session and the settings of the real stages, codec included. What they leave out: everything but rows.
No rejects, no repeated ids, no dedupe, no splitting, no occurrences, no parsing, no offsets, no audit, no restart.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core.hashing import TEXT_DIGITS
from uniner_dist.run.run import Run
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.spark.stage import STAGE_SETTINGS, settings
from uniner_dist.spark.types import spark_schema


def prompts_without_shuffle(spark: SparkSession, corpus: str, types: Sequence[str], output: str) -> None:
    """Read the corpus, explode × types, write; rows lie as they came, so no folder is one shard."""
    with settings(spark, STAGE_SETTINGS):
        _exploded(_passages(spark, corpus), types).write.mode("overwrite").parquet(output)


def prompts_in_shards(spark: SparkSession, corpus: str, types: Sequence[str], output: str, shards: int) -> None:
    """The same with the one shuffle and the sort that shards cost: one file is one range of ids, passages in order."""
    with settings(spark, STAGE_SETTINGS):
        placed = _passages(spark, corpus).withColumn("shard", _range_of("passage_id", shards))
        ordered = placed.repartitionById(shards, "shard").sortWithinPartitions("passage_id").drop("shard")
        _exploded(ordered, types).write.mode("overwrite").parquet(output)


def _passages(spark: SparkSession, corpus: str) -> DataFrame:
    hashed = F.substring(F.sha2(F.col("text").cast("binary"), 256), 1, 32)
    return spark.read.schema("doc_id string, text string").parquet(corpus).select(hashed.alias("passage_id"), "text")


def _exploded(passages: DataFrame, types: Sequence[str]) -> DataFrame:
    """As many rows as prompts; the explosion is behind shuffle and sort, where it costs least."""
    return passages.select("passage_id", "text", F.explode(F.array(*map(F.lit, types))).alias("entity_type"))


def _range_of(name: str, shards: int) -> Column:
    head = F.conv(F.substring(name, 1, 8), 16, 10).cast("long")
    return F.shiftright(head * F.lit(shards), 32).cast("int")


def write_rows(spark: SparkSession, run: Run, output: str) -> None:
    """Join completions and occurrences, write the columns of annotations partitioned by type.

    An answer that is not the empty list becomes one entity, the raw answer: as many bytes, no parsing. Hash join: of
    the joins that the settings leave, it is the one that sorts nothing.
    """
    with settings(spark, STAGE_SETTINGS):
        completions = spark.read.schema(spark_schema(COMPLETIONS)).parquet(run.layout.completions)
        places = spark.read.parquet(run.layout.occurrences).select("document", "passage_id")
        answers = completions.select("passage_id", "entity_type", "output")
        rows = answers.join(places.hint("shuffle_hash"), "passage_id").select(
            "document.*",
            "entity_type",
            F.substring("passage_id", 1, TEXT_DIGITS).alias("text_digest"),
            _entities(F.col("output")).alias("entities"),
            F.when(F.col("output") == " []", "none").otherwise("found").alias("outcome"),
            F.lit(None).cast("string").alias("repair"),
            F.lit(None).cast("float").alias("score"),
            F.lit(None).cast("string").alias("raw_output"),
            F.lit(run.id).alias("run_id"),
            F.lit(run.model_name).alias("model"),
            F.lit(run.fingerprint).alias("fingerprint"),
        )
        rows.write.mode("overwrite").partitionBy("entity_type").parquet(output)


def _entities(output: Column) -> Column:
    entity = F.struct(
        output.alias("text"),
        F.lit(0).alias("start"),
        F.length(output).alias("end"),
        F.lit("exact").alias("match"),
        F.lit(None).cast("float").alias("score"),
    )
    return F.filter(F.array(entity), lambda _: output != " []")
