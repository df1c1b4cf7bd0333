"""What of triage a plan of the run is: the sample, all but the skipped, or everything; and its selection of prompts.

The first plan asks a sample only. When that is answered, `pipeline.triage` finds a bound, and the run is planned again:
then the sample's answers come from the store as any others do, and what may be skipped is.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.core.hashing import digest
from uniner_dist.prompts.reuse import read_cells
from uniner_dist.prompts.selection import AllButSkipped, Everything, SampleOnly, Selection
from uniner_dist.run.run import Run
from uniner_dist.run.triage import promise_of, read_bound, read_classifier
from uniner_dist.triage.draw import Draw
from uniner_dist.triage.sizes import plan_sample


def plan_triage(spark: SparkSession, run: Run, passages: DataFrame) -> tuple[dict[str, object] | None, Selection]:
    """Facts for the summary (`control_files.TriagePlan`), None without triage, and what is asked.

    Args:
        passages: all of the run, with `passage_id`.
    """
    if not run.config.triage.is_on:
        return None, Everything()
    asks = run.config.questions.asked
    bound = read_bound(run)
    if bound is not None:
        facts: dict[str, object] = {"phase": "bound", "salt": bound.salt, "cells": bound.cells}
        if not bound.skips:
            why = "too few answers of the sample name something for any bound to hold"
            return facts | {"phase": "all", "why": why}, Everything()
        shared = spark.sparkContext.broadcast(read_classifier(run, bound))
        selection = AllButSkipped(Draw(bound.salt), asks, lambda: shared.value, bound.thresholds, bound.check)
        return facts, selection
    distinct, missing = _count(passages, read_cells(spark, run, asks), len(asks))
    sample = plan_sample(distinct, len(asks), missing, promise_of(run), run.config.triage.sample_fraction)
    if sample is None:
        why = f"{missing:,} prompts are too few for a sample that any bound could be found with"
        return {"phase": "all", "cells": missing, "why": why}, Everything()
    salt = digest({"run": run.id, "passages": distinct, "cells": missing})
    facts = {"phase": "sample", "salt": salt, "cells": missing}
    facts |= {"learning": sample.learning, "calibration": sample.calibration}
    return facts, SampleOnly(Draw(salt), asks, sample.learning, sample.calibration)


def _count(passages: DataFrame, cells: DataFrame | None, asks: int) -> tuple[int, int]:
    """Different passages, and prompts without an answer."""
    distinct = passages.select("passage_id").distinct()
    count = distinct.count()
    if cells is None:
        return count, count * asks
    known = cells.select("passage_id", F.col("cell.ask").alias("ask")).distinct()
    return count, count * asks - known.join(distinct, "passage_id", "left_semi").count()
