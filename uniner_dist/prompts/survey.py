"""One pass over the whole corpus before anything is written: counts by reject reason, long texts, repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core.estimate import BYTES_PER_TOKEN
from uniner_dist.prompts import corpus as rows
from uniner_dist.prompts.budget import PassageBudget
from uniner_dist.prompts.passages import (
    estimated_tokens,
    may_be_long,
)
from uniner_dist.run.run import Run
from uniner_dist.spark.datasets import read_table, write_table
from uniner_dist.spark.stage import describe

#: Up to this many repeated ids are sent to every task (some 30 MB); beyond, the join shuffles the corpus once.
_BROADCAST_REPEATS = 200_000


@dataclass(frozen=True)
class Survey:
    """Result of the survey."""

    rows: int
    rejects: Mapping[str, int]  # by reason; duplicates are not known yet
    tokens: int  # estimated, of all texts that are not rejected
    long_texts: int
    long_bytes: int


def survey_corpus(corpus: DataFrame, budget: PassageBudget) -> Survey:
    """Count rows by reject reason, and texts that must be tokenised in Python, in one pass over the corpus.

    Args:
        corpus: rows from `with_reason`.
        budget: texts that may have more tokens than its `whole` are long.

    Returns:
        Counts of rows, estimated tokens and long texts; rows with repeated ids are not known yet.
    """
    long = F.coalesce(may_be_long(budget.whole), F.lit(False)) & F.col("reason").isNull()
    counts = (
        corpus.select("reason", long.alias("long"), F.octet_length("text").alias("bytes"), estimated_tokens())
        .groupBy("reason", "long")
        .agg(F.count("*").alias("rows"), F.sum("bytes").alias("bytes"), F.sum("estimated_tokens").alias("tokens"))
        .collect()  # at most one row per reason, and one more
    )
    return Survey(
        rows=sum(row["rows"] for row in counts),
        rejects={row["reason"]: row["rows"] for row in counts if row["reason"] is not None},
        tokens=sum(row["tokens"] or 0 for row in counts if row["reason"] is None),
        long_texts=sum(row["rows"] for row in counts if row["long"]),
        long_bytes=sum(row["bytes"] or 0 for row in counts if row["long"]),
    )


def keep_repeats(spark: SparkSession, run: Run, corpus: DataFrame) -> DataFrame:
    """Return the rows to leave out because an earlier row has their id.

    They are written to a dataset of the run, as three passes over the corpus need them.

    Args:
        spark: session that finds, writes and counts them.
        run: the dataset is `repeats` in its folder; its configuration names the id column.
        corpus: rows from `with_reason`.

    Returns:
        `file` and `row`; marked for a broadcast join up to `_BROADCAST_REPEATS` rows.
    """
    describe(spark, "find rows with repeated ids")
    repeats = rows.find_repeats(corpus, run)
    path = run.layout.own(run.layout.repeats)
    write_table(repeats, path)
    kept = read_table(spark, path, repeats.schema)
    return F.broadcast(kept) if kept.count() <= _BROADCAST_REPEATS else kept


def expected_passages(survey: Survey, budget: PassageBudget) -> int:
    """Return the estimated number of passages, repeats counted: one per text, more for those that must be split.

    Args:
        survey: counts of the corpus; rows with repeated ids are still among the usable ones.
        budget: sizes of passages, in tokens.
    """
    advance = budget.passage - budget.overlap
    usable = survey.rows - sum(survey.rejects.values())
    of_long = max(survey.long_texts, ceil(survey.long_bytes / BYTES_PER_TOKEN / advance))
    return usable - survey.long_texts + of_long
