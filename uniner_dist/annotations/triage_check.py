"""Triage's check: the answers of prompts that were asked only to check, against all that was asked and skipped.

Counts inside Spark tasks, over Arrow batches with the names of committed shards; the driver adds the counters up and
derives the verdict, which is written once per bound.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from uniner_dist.annotations.filled import is_filled
from uniner_dist.run.run import Run
from uniner_dist.run.triage import promise_of, read_bound, read_verdict
from uniner_dist.spark.datasets import map_in_arrow
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.types import spark_schema
from uniner_dist.storage.control_files import TriageBound, TriageVerdict, write_control
from uniner_dist.storage.filesystem import list_names, read_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import is_skipped, read_completions, read_shards
from uniner_dist.triage.check import judge

#: Of one shard: prompts that were skipped; those asked that are not empty; those checked; those of them not empty.
COUNTS = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in ("skipped", "filled", "checked", "hits")])


def judge_triage(spark: SparkSession, run: Run) -> TriageVerdict | None:
    """Return the verdict on what was skipped; it is counted and written once per bound.

    Args:
        spark: session whose tasks count the answers of each shard.
        run: a run whose shards are all answered.

    Returns:
        The verdict; None where the run has no bound, or a bound that lets nothing be skipped.
    """
    bound, verdict = read_bound(run), read_verdict(run)
    if bound is None or not bound.skips or verdict is not None:
        return verdict
    with stage(spark, "annotations"):
        describe(spark, "check what was skipped")
        counts = _count(spark, run)
    verdict = _judged(run, bound, counts)
    write_control(run.layout.triage_verdict, verdict)
    return verdict


def _judged(run: Run, bound: TriageBound, counts: dict[str, int]) -> TriageVerdict:
    promise = promise_of(run)
    filled = counts["filled"] + bound.sampled_filled
    found = judge(counts["hits"], counts["checked"], counts["skipped"], filled, promise.missed, promise.delta)
    return TriageVerdict(
        salt=bound.salt,
        kept=found.kept.value,
        missed=found.missed,
        low=found.low,
        high=found.high,
        skipped=counts["skipped"],
        checked=counts["checked"],
        hits=counts["hits"],
        filled=filled,
    )


def _count(spark: SparkSession, run: Run) -> dict[str, int]:
    shards = read_shards(run.layout)["shard"].to_pylist()
    checked = frozenset(name.removesuffix(".parquet") for name in list_names(run.layout.checks))
    names = spark.createDataFrame([(name,) for name in shards], "shard string")
    tasks = max(1, min(len(shards), 4 * spark.sparkContext.defaultParallelism))
    counter = CheckCounter(run.layout, run.fingerprint, checked)
    rows = map_in_arrow(names.repartition(tasks), counter, spark_schema(COUNTS))
    total = rows.agg(*[F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in COUNTS.names]).first()
    return {name: int(total[name]) for name in COUNTS.names} if total else dict.fromkeys(COUNTS.names, 0)


class CheckCounter:
    """The function that Spark runs over Arrow batches of (`shard`); yields a row of `COUNTS` for each.

    Args:
        layout: where the completions, and the marks of prompts that were asked to check, are stored.
        fingerprint: key the completions must have.
        checked: ids of the shards with prompts that were asked to check.
    """

    def __init__(self, layout: RunLayout, fingerprint: str, checked: frozenset[str]) -> None:
        self._layout, self._fingerprint, self._checked = layout, fingerprint, checked

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one row of `COUNTS` per shard id in the first column."""
        for batch in batches:
            rows = [self.count(shard) for shard in batch.column(0).to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema=COUNTS)

    def count(self, shard: str) -> dict[str, int]:
        """Count the answers of one shard.

        Args:
            shard: its id, as in the manifest.

        Returns:
            Column of `COUNTS` → count. Answers reused from the store are counted in none but `skipped`.
        """
        completions = read_completions(self._layout.completions_file(shard), shard, self._fingerprint)
        skipped = is_skipped(completions)
        own = completions.filter(pc.invert(pc.or_(skipped, completions["reused"])))
        filled = own.filter(is_filled(own))
        keys = ["passage_id", "entity_type"]
        counts = {"skipped": pc.sum(skipped, min_count=0).as_py(), "filled": filled.num_rows, "checked": 0, "hits": 0}
        if shard in self._checked:
            path = self._layout.check_file(shard)
            marks = pq.ParquetFile(pa.BufferReader(read_bytes(path))).read(columns=keys, use_threads=False)
            wanted = set(zip(*(marks[key].to_pylist() for key in keys), strict=True))
            for name, table in (("checked", own), ("hits", filled)):
                counts[name] = sum(key in wanted for key in zip(*(table[k].to_pylist() for k in keys), strict=True))
        return counts
