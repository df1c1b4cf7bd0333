"""This plan's part of triage, and its selection of prompts.

The first plan asks a sample only, to learn from; the second one the calibration cells. Then `pipeline.triage` has a
bound, and the third plan is of the whole run, without what may be skipped. Answers to one plan come from the store in
the next, as any others do.
"""

from __future__ import annotations

from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core.hashing import digest
from uniner_dist.prompts.reuse import read_cells
from uniner_dist.prompts.selection import AllButSkipped, Calibrating, Everything, SampleOnly, Selection
from uniner_dist.run.run import Run
from uniner_dist.run.triage import promise_of, read_bound, read_classifier, read_learnt
from uniner_dist.storage.control_files import TriageLearnt, TriagePlan
from uniner_dist.triage.draw import Draw
from uniner_dist.triage.sizes import learning_share


def plan_triage(spark: SparkSession, run: Run, passages: DataFrame) -> tuple[TriagePlan | None, Selection]:
    """Return this plan's part of triage, and the rule that selects its prompts.

    Args:
        spark: session that counts distinct passages and cached answers, and broadcasts the classifier.
        run: its `triage` settings and what it has learnt so far decide the phase.
        passages: all passages of the run, with `passage_id`; repeats allowed.

    Returns:
        The part, which goes into the summary, None without triage; and the selection.

    Raises:
        ControlFileError: what the run has learnt is damaged, or belongs to other questions.
    """
    if not run.config.triage.is_on:
        return None, Everything()
    learnt = read_learnt(run)
    if learnt is not None:
        return _plan_learnt(spark, run, learnt)
    asks, fraction = run.config.questions.asked, run.config.triage.sample_fraction
    distinct, missing = _count(passages, read_cells(spark, run, asks), len(asks))
    learning = learning_share(distinct, missing, promise_of(run), fraction)
    if learning is None:
        why = f"{missing:,} prompts are too few for a sample that any bound could be found with"
        return TriagePlan(phase="all", cells=missing, why=why), Everything()
    salt = digest({"run": run.id, "passages": distinct, "cells": missing})
    plan = TriagePlan(phase="sample", salt=salt, cells=missing, learning=learning)
    return plan, SampleOnly(Draw(salt), learning)


def _plan_learnt(spark: SparkSession, run: Run, learnt: TriageLearnt) -> tuple[TriagePlan, Selection]:
    """The plan once something was learnt."""

    def planned(phase: Literal["calibrate", "bound", "all"], why: str | None = None) -> TriagePlan:
        return TriagePlan(
            phase=phase,
            salt=learnt.salt,
            learning=learnt.learning,
            calibration=learnt.calibration,
            cells=learnt.cells,
            expected_skipped=learnt.skipped,
            expected_saved=learnt.saved,
            why=why,
        )

    bound, draw, asks = read_bound(run), Draw(learnt.salt), run.config.questions.asked
    if not learnt.calibration:
        return planned("all", learnt.why), Everything()
    if bound is not None and not bound.skips:
        why = "too few answers of the sample name something for any bound to hold"
        return planned("all", why), Everything()
    shared = spark.sparkContext.broadcast(read_classifier(run, learnt))
    if bound is None:
        chosen = Calibrating(
            draw, asks, lambda: shared.value, learnt.learning, learnt.calibration, floors=learnt.floors
        )
        return planned("calibrate"), chosen
    rest = AllButSkipped(draw, asks, lambda: shared.value, learnt.learning, bound.thresholds, bound.check)
    return planned("bound"), rest


def _count(passages: DataFrame, cells: DataFrame | None, asks: int) -> tuple[int, int]:
    """Number of distinct passages, and of prompts without an answer."""
    distinct = passages.select("passage_id").distinct()
    count = distinct.count()
    if cells is None:
        return count, count * asks
    known = cells.select("passage_id", F.col("cell.ask").alias("ask")).distinct()
    return count, count * asks - known.join(distinct, "passage_id", "left_semi").count()
