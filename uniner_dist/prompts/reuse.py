"""Reuse of stored answers in stage 1: the join with the store, and its result as Arrow.

Joins the store's files of this fingerprint with the passages: every passage gets its cached answers, which become,
inside a Spark task, rows of `schemas.COMPLETIONS`. Nothing of the store passes through the driver but the names of its
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core.outcomes import Outcome
from uniner_dist.prompts.selection import Selected
from uniner_dist.run.earlier import usable_stores
from uniner_dist.run.run import Run
from uniner_dist.schemas import CELLS, COMPLETIONS
from uniner_dist.spark.datasets import read_files
from uniner_dist.spark.hash_partitioning import partition_key
from uniner_dist.spark.stage import LISTS_IN_ARROW
from uniner_dist.spark.types import spark_schema
from uniner_dist.storage.answer_store import live_files

#: Both sides of the join come in the same ranges of passage ids already: they meet by range, and texts move once. A
#: range must stay in one task, however big it is.
JOIN_SETTINGS = {
    "spark.sql.requireAllClusterKeysForCoPartition": "false",
    "spark.sql.adaptive.skewJoin.enabled": "false",
    **LISTS_IN_ARROW,
}

#: No token of a vocabulary has more bytes; a stored answer with more is ignored, and its question is asked.
_BYTES_PER_TOKEN = 1024

_ANSWER = ["output", "finish_reason", "prompt_tokens", "completion_tokens"]
_SCORES = ["logprobs", "tokens"]


def read_cells(spark: SparkSession, run: Run, asks: Sequence[str]) -> DataFrame | None:
    """Return the answers in the store that serve this run: `passage_id`, `cell`; None when there is no file of them.

    A cell has the index of its question in `asks` and the columns that this run needs. An answer without
    log-probabilities is none for a run with scores.

    Args:
        spark: session that reads the store.
        run: its fingerprints name the files; answers that are larger than the run could have got are left out.
        asks: the questions of the run, each once, in order.

    Returns:
        `cell` is a struct: `ask` (from 0), `output`, `finish_reason`, `prompt_tokens`, `completion_tokens`, and in a
        run with scores `logprobs` and `tokens`. A passage may have the same cell twice, from two files.
    """
    found = [(store.cells, files) for store in usable_stores(run) if (files := live_files(store))]
    if not found:
        return None
    parts = [read_files(spark, folder, files, spark_schema(CELLS)) for folder, files in found]
    cells = reduce(DataFrame.union, parts)
    cells = cells.where(F.col("entity_type").isin(*asks)).where(_is_bounded(run))
    wanted = _ANSWER
    if run.config.run.scores:
        cells, wanted = cells.where("logprobs IS NOT NULL AND tokens IS NOT NULL"), _ANSWER + _SCORES
    # Called by name: `F.array_position` takes a column as its second argument only from Spark 4 on.
    position = F.call_function("array_position", F.array(*[F.lit(ask) for ask in asks]), F.col("entity_type"))
    ask = (position - 1).cast("int").alias("ask")
    return cells.select("passage_id", F.struct(ask, *wanted).alias("cell"))


def _is_bounded(run: Run) -> Column:
    """Whether the run itself could have got an answer of this size: what others put into a store may be of any size."""
    tokens = run.config.model.max_tokens
    scores = F.coalesce(F.size("logprobs"), F.lit(0)) <= 2 * tokens
    return (F.octet_length("output") <= tokens * _BYTES_PER_TOKEN) & scores


def with_cells(passages: DataFrame, cells: DataFrame, buckets: int, partitions: int) -> DataFrame:
    """Return passages with `cells` added, a list; null where the store has no answer for a passage.

    Args:
        passages: rows with `task` and `passage_id`, partitioned by `task`.
        cells: rows from `read_cells`.
        buckets: number of equal ranges of passage ids.
        partitions: number of partitions of `passages`, whose `task` is `partition_key` of these two numbers.
    """
    task = partition_key(F.col("passage_id"), buckets, partitions).alias("task")
    placed = cells.select(task, "passage_id", "cell").repartition(partitions, "task")
    # Ids first: Spark sorts by the first bytes of the first key, and ranges of ids keep their order.
    grouped = placed.groupBy("passage_id", "task").agg(F.collect_list("cell").alias("cells"))
    return passages.join(grouped, ["passage_id", "task"], "left")


class CachedAnswers:
    """The cached answers for the passages of one bucket, as a grid of passages × questions.

    Args:
        cells: one list of cells per passage, null for none.
        asks: the questions, in order.
    """

    def __init__(self, cells: pa.ListArray, asks: Sequence[str]) -> None:
        self._asks = tuple(asks)
        self._cells = cells.flatten()
        #: Index of each answer in `_cells`, -1 where there is none.
        self._positions: npt.NDArray[np.int64] = np.full((len(cells), len(asks)), -1, dtype=np.int64)
        passages = pc.list_parent_indices(cells).to_numpy()
        questions = self._cells.field("ask").to_numpy(zero_copy_only=False)
        order = np.arange(len(self._cells))
        if len(np.unique(passages * len(asks) + questions)) < len(order):
            # The same cell from two files: take the first in the order of answers, whichever came first here.
            order = pc.sort_indices(self._cells.field("output")).to_numpy()[::-1]
        self._positions[passages[order], questions[order]] = order

    @classmethod
    def nothing(cls, passages: int, asks: Sequence[str]) -> CachedAnswers:
        """Return an empty grid, for passages without stored answers.

        Args:
            passages: how many there are.
            asks: the questions, in order.
        """
        kinds = {name: _COLUMNS[name].type for name in _ANSWER}
        cell = pa.struct([pa.field("ask", pa.int32()), *(pa.field(name, kind) for name, kind in kinds.items())])
        return cls(pa.nulls(passages, pa.list_(cell)), asks)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Passages × questions: what must be asked."""
        return self._positions < 0

    def completions(self, ids: pa.Array, passages: npt.NDArray[np.int64], chosen: Selected) -> pa.Table:
        """Return rows of `schemas.COMPLETIONS` for some passages, in the order of their prompts.

        Args:
            ids: passage ids, one for each of `passages`.
            passages: their numbers in this bucket, from 0.
            chosen: what is asked of the passages of this bucket; the rest without an answer was skipped.

        Returns:
            All questions of the first passage, then of the next. `output` is null for prompts that are to be asked, and
            for skipped ones, which have `error_kind` "skipped" and their `score`.
        """
        positions = self._positions[passages].reshape(-1)
        known = positions >= 0
        skipped = ~known & ~chosen.asked[passages].reshape(-1)
        found = self._cells.take(pa.array(positions, mask=~known))
        columns = {name: _null_column(field, len(positions)) for name, field in _COLUMNS.items()}
        columns |= {
            "passage_id": ids.take(pa.array(np.repeat(np.arange(len(ids)), len(self._asks)))),
            "entity_type": pa.array(self._asks, pa.string()).take(
                pa.array(np.tile(np.arange(len(self._asks)), len(ids)))
            ),
            "cached_tokens": pa.array(np.zeros(len(positions), dtype=np.int32)),
            "reused": pa.array(known),
            "error_kind": pc.if_else(pa.array(skipped), Outcome.SKIPPED.value, pa.scalar(None, pa.string())),
            "score": pa.array(chosen.scores[passages].reshape(-1), mask=~skipped),
        }
        columns |= {field.name: array for field, array in zip(found.type, found.flatten(), strict=True)}
        for name in ("prompt_tokens", "completion_tokens"):
            columns[name] = pc.fill_null(columns[name], 0)
        return pa.table([columns[name] for name in COMPLETIONS.names], schema=COMPLETIONS)


_COLUMNS = {field.name: field for field in COMPLETIONS}


def _null_column(field: pa.Field, rows: int) -> pa.Array:
    return pa.nulls(rows, field.type)
