"""The gate's documents in the corpus, found by Spark: texts by id, a sample by hash, and which ones are unchanged.

Needs a run whose prompts stage is done, and ids as strings; collects a handful of documents on the driver. Only
documents that the prompts stage has accepted are found, and of rows with a repeated id the one that it has taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core import hashing
from uniner_dist.prompts import corpus as rows
from uniner_dist.run.corpus_snapshot import run_snapshot
from uniner_dist.run.run import Run
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe
from uniner_dist.storage.control_files import PromptsSummary, read_control
from uniner_dist.storage.stage_files import counting


def corpus_texts(spark: SparkSession, run: Run, doc_ids: Collection[str]) -> dict[str, str]:
    """Return id → text of the accepted documents with these ids, in one pass over the corpus.

    Args:
        spark: session that reads the corpus.
        run: a run whose prompts stage is done, so that its snapshot of the corpus and its rejects are known.
        doc_ids: ids as strings; those that are not accepted documents of the corpus are missing in the result.
    """
    describe(spark, "texts of the gate's documents")
    corpus = rows.read_corpus(spark, run, run_snapshot(run))
    found = _with_ids(spark, rows.with_reason(corpus, run), _id(run), doc_ids)
    repeated = "duplicate_id" in read_control(run.layout.prompts_summary, PromptsSummary).rejects
    documents = rows.accepted(found, rows.find_repeats(found, run) if repeated else None)
    return {row["id"]: row["text"] for row in documents.select(_id(run).alias("id"), "text").collect()}


def sample_ids(spark: SparkSession, run: Run, count: int) -> list[str]:
    """Return ids of the documents with the lowest hash, short ones first: a book would cost more than all others.

    Args:
        spark: session that reads the occurrences of passages.
        run: a run whose prompts stage is done.
        count: how many documents.

    Returns:
        Ids as strings, documents of one passage first, each group by hash; fewer than `count` in a smaller corpus.
    """
    describe(spark, "choose a sample")
    first = _places(spark, run).where("passage = 0")
    order = [F.col("passages") > 1, F.xxhash64(_id(run)), _id(run)]
    return [row["id"] for row in first.orderBy(*order).limit(count).select(_id(run).alias("id")).collect()]


def unchanged(spark: SparkSession, run: Run, texts: Mapping[str, str]) -> list[str]:
    """Return ids of those documents that are in the corpus with exactly this text, as one passage.

    Args:
        spark: session that reads the occurrences of passages.
        run: a run whose prompts stage is done.
        texts: id (as a string) → text; the result is in this order.
    """
    describe(spark, "look for the gate's documents")
    places = _with_ids(spark, _places(spark, run).where("passages = 1"), _id(run), texts)
    found = {row["id"]: row["passage_id"] for row in places.select(_id(run).alias("id"), "passage_id").collect()}
    return [doc_id for doc_id, text in texts.items() if found.get(doc_id) == hashing.passage_id(text)]


def _places(spark: SparkSession, run: Run) -> DataFrame:
    return read_table(spark, counting(run.layout.occurrences))


def _id(run: Run) -> Column:
    return rows.document_id(run).cast("string")


def _with_ids(spark: SparkSession, documents: DataFrame, doc_id: Column, wanted: Collection[str]) -> DataFrame:
    ids = spark.createDataFrame([(one,) for one in wanted], "wanted string")
    return documents.join(F.broadcast(ids), doc_id == F.col("wanted"), "left_semi")
