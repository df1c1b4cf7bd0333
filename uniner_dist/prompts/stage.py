"""Stage 1 from end to end: corpus in, `rejects/`, `occurrences/`, `prompts/` and, last of all, the shards manifest out.

The manifest's presence says that the stage is done. A half-done stage is done again from its start and overwrites its
files with the same content. Only counters and one row per shard ever reach the driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist import model
from uniner_dist.core.estimate import BYTES_PER_TOKEN
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import StageError
from uniner_dist.prompts import corpus as rows
from uniner_dist.prompts.budget import PassageBudget, passage_budget
from uniner_dist.prompts.packing import Packing, plan_packing
from uniner_dist.prompts.passages import (
    LONG_TEXTS_PER_BATCH,
    LongTextSplitter,
    estimated_tokens,
    may_be_long,
    occurrences,
    split_long,
    whole_passages,
    with_keys,
)
from uniner_dist.prompts.reuse import JOIN_SETTINGS, read_cells
from uniner_dist.prompts.shard_writer import ShardWriter, sorted_passages, thin_frequent
from uniner_dist.run.corpus_snapshot import run_snapshot
from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.spark.datasets import map_in_arrow, read_table, write_rows, write_table
from uniner_dist.spark.parallel import at_once
from uniner_dist.spark.stage import describe, settings, stage
from uniner_dist.spark.types import spark_schema
from uniner_dist.storage.answer_store import store_state
from uniner_dist.storage.commit import Check, always
from uniner_dist.storage.control_files import PromptsSummary, read_record
from uniner_dist.storage.erased import erased_state
from uniner_dist.storage.filesystem import exists, remove, write_json
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.shards import write_shards
from uniner_dist.storage.snapshot import Snapshot

#: Text of long documents that one task splits; about half a minute of tokenising.
_LONG_BYTES_PER_TASK = 32 << 20


#: So many repeated ids are sent to every task (some 30 MB); beyond, the join shuffles the corpus once.
_BROADCAST_REPEATS = 200_000


#: From so many passages on, frequent ones are looked for; below, all repeats of one make no task slow.
_MANY_PASSAGES = 100_000


@dataclass(frozen=True)
class Survey:
    """What one look over the whole corpus says."""

    rows: int
    rejects: Mapping[str, int]  # by reason; duplicates are not known yet
    tokens: int  # estimated, of all texts that are not rejected
    long_texts: int
    long_bytes: int


@dataclass(frozen=True)
class Totals:
    """What the occurrences add up to."""

    passages: int
    documents: int
    split: int  # documents of more than one passage


def write_prompts(spark: SparkSession, run: Run, check: Check = always) -> dict[str, Any]:
    """Do stage 1, or nothing when it is done.

    Args:
        check: called before what an earlier start left is removed, and before the manifest; raises when this process
            may not go on.

    Returns:
        The summary, as in `layout.prompts_summary`: counts of rows, documents, rejects by reason, passages, prompts
        and shards.

    Raises:
        StageError: the corpus cannot be read, or changed while it was read.
    """
    if exists(run.layout.shards):
        summary: dict[str, Any] = read_record(run.layout.prompts_summary, PromptsSummary)
        return summary
    with stage(spark, "prompts"):
        # Answers belong to the shards of a finished stage; those of a half-done one may be cut otherwise next time.
        for leftover in (run.layout.prompts, run.layout.parts, run.layout.completions):
            check()
            remove(leftover)
        return _write(spark, run, check)


def _write(spark: SparkSession, run: Run, check: Check) -> dict[str, Any]:
    tokenizer_json = model.load_tokenizer_json(run.config.model)
    tokenizer = PromptTokenizer.from_json(tokenizer_json, get_template(run.config.model.template))
    budget = passage_budget(run.config, tokenizer)
    now = {
        "store": {"path": run.config.store_path, "state": store_state(run.store, run.id)},
        "erased": erased_state(run.erased_lists),
        "whole_text_tokens": budget.whole,
    }
    snapshot = run_snapshot(run)
    raw = rows.read_corpus(spark, run, snapshot)
    with_reason = rows.with_reason(raw, run)
    describe(spark, "survey the corpus")
    survey, has_repeats = at_once(spark, lambda: _survey(with_reason, budget), lambda: rows.has_repeated_ids(raw, run))
    _check_rows(snapshot, survey.rows)
    # Looking at every row again costs a third of a pass; there are two more passes.
    corpus = with_reason if survey.rejects else raw.withColumn("reason", F.lit(None).cast("string"))
    repeats = _find_repeats(spark, run, corpus) if has_repeats else None
    rejects = _write_rejects(spark, run, corpus, survey, repeats)
    documents = rows.accepted(corpus, repeats)
    passages, places = _write_occurrences(spark, run, documents, survey, budget, tokenizer_json)
    count = _expected_passages(survey, budget)
    packing = _plan(run, count, survey.tokens, tokenizer)
    describe(spark, "write prompt shards")
    totals, manifest = at_once(
        spark, lambda: _count(places), lambda: _write_shards(spark, run, passages, places, count, packing)
    )
    summary = _summarise(totals, survey, rejects, manifest) | now
    _check(run, summary, snapshot)
    check()
    write_json(run.layout.prompts_summary, summary)
    write_shards(run.layout, manifest)
    for leftover in (run.layout.splits, run.layout.repeats):  # only served to get here, and hold texts
        remove(leftover)
    return summary


def _survey(corpus: DataFrame, budget: PassageBudget) -> Survey:
    """Count rows by reason, and texts that Python must look at."""
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


def _find_repeats(spark: SparkSession, run: Run, corpus: DataFrame) -> DataFrame:
    """Rows to leave out because their id stands earlier, kept in a file: three passes over the corpus need them."""
    describe(spark, "find rows with repeated ids")
    repeats = rows.find_repeats(corpus, run)
    path = run.layout.repeats
    write_table(repeats, path)
    kept = read_table(spark, path, repeats.schema)
    return F.broadcast(kept) if kept.count() <= _BROADCAST_REPEATS else kept


def _write_rejects(
    spark: SparkSession, run: Run, corpus: DataFrame, survey: Survey, repeats: DataFrame | None
) -> dict[str, int]:
    """Write `rejects/` and count by reason."""
    describe(spark, "write rejects")
    counts = dict(survey.rejects)
    repeated = repeats.count() if repeats is not None else 0
    if repeated:
        counts["duplicate_id"] = repeated
    rejected = rows.rejected(corpus, run, repeats)
    write_rows(rejected, run.layout.rejects, empty=not counts.keys() - {rows.ERASED})
    return {reason: counts[reason] for reason in rows.REASONS if reason in counts}


def _write_occurrences(
    spark: SparkSession, run: Run, documents: DataFrame, survey: Survey, budget: PassageBudget, tokenizer_json: str
) -> tuple[DataFrame, DataFrame]:
    """Write `occurrences/`; returns all passages, and their occurrences.

    Long texts are split on the way, once: their passages are kept in a file beside, as the shards need them too.
    """
    whole = whole_passages(documents, budget.whole)
    if not survey.long_texts:
        describe(spark, "write occurrences")
        passages = with_keys(whole)
        return passages, _place(spark, run, passages)
    describe(spark, "split long texts and write occurrences")
    shared = spark.sparkContext.broadcast(tokenizer_json)
    splitter = LongTextSplitter(lambda: str(shared.value), run.config.model.template, budget)
    wanted = max(2 * spark.sparkContext.defaultParallelism, ceil(survey.long_bytes / _LONG_BYTES_PER_TASK))
    path = run.layout.splits
    with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(LONG_TEXTS_PER_BATCH)}):
        split = split_long(documents, splitter, budget.whole, min(survey.long_texts, wanted), path)
        places = _place(spark, run, with_keys(split.unionByName(whole)))  # the longest tasks first
    return with_keys(read_table(spark, path, split.schema).unionByName(whole)), places


def _place(spark: SparkSession, run: Run, passages: DataFrame) -> DataFrame:
    places = occurrences(passages)
    write_table(places, run.layout.occurrences)
    return read_table(spark, run.layout.occurrences, places.schema)


def _count(places: DataFrame) -> Totals:
    first = F.col("passage") == 0
    counts = places.agg(
        F.count("*"), F.count(F.when(first, 1)), F.count(F.when(first & (F.col("passages") > 1), 1))
    ).first()
    return Totals(*(int(count or 0) for count in counts)) if counts else Totals(0, 0, 0)


def _expected_passages(survey: Survey, budget: PassageBudget) -> int:
    """About how many passages there will be, repeats counted: one for each text, more for what must be split."""
    advance = budget.passage - budget.overlap
    usable = survey.rows - sum(survey.rejects.values())
    of_long = max(survey.long_texts, ceil(survey.long_bytes / BYTES_PER_TOKEN / advance))
    return usable - survey.long_texts + of_long


def _plan(run: Run, passages: int, text_tokens: int, tokenizer: PromptTokenizer) -> Packing:
    frame = len(tokenizer.prefix_ids([""])[0])
    questions = tuple(len(tokenizer.suffix_ids(ask)) for ask in asked(run))
    prompts = run.config.prompts
    return plan_packing(passages, text_tokens, frame, questions, prompts.shard_tokens, prompts.min_shards)


def asked(run: Run) -> tuple[str, ...]:
    """What is asked of every passage, in order; two labels may share a question."""
    return tuple(dict.fromkeys(entity_type.ask for entity_type in run.config.types))


def _write_shards(
    spark: SparkSession, run: Run, passages: DataFrame, places: DataFrame, count: int, packing: Packing
) -> pa.Table:
    """Write `prompts/`; returns the manifest.

    Args:
        count: about how many passages there are.
    """
    if not count:
        return SHARDS.empty_table()
    if count >= _MANY_PASSAGES:
        passages = thin_frequent(passages, places, count, rows.document_id(run))
    tasks = max(2 * spark.sparkContext.defaultParallelism, ceil(packing.buckets / 4))
    writer = ShardWriter(run.layout, run.fingerprint, asked(run), packing)
    cells = read_cells(spark, run, asked(run))
    with settings(spark, JOIN_SETTINGS):
        ordered = sorted_passages(passages, cells, packing, min(packing.buckets, tasks))
        written = map_in_arrow(ordered, writer, spark_schema(SHARDS)).collect()  # one row per shard
    found = sorted((row.asDict() for row in written), key=lambda row: str(row["shard"]))
    return pa.Table.from_pylist(found, schema=SHARDS)


def _summarise(totals: Totals, survey: Survey, rejects: Mapping[str, int], manifest: pa.Table) -> dict[str, Any]:
    shards = manifest.to_pydict()
    return {
        "rows": survey.rows,
        "documents": totals.documents,
        "rejected": sum(rejects.values()),
        "rejects": dict(rejects),
        "split_documents": totals.split,
        "passages": totals.passages,
        "unique_passages": sum(shards["passages"]),
        "prompts": sum(shards["prompts"]),
        "prompts_known": sum(shards["prompts"]) - sum(shards["asked"]),
        "prompts_to_ask": sum(shards["asked"]),
        "shards": manifest.num_rows,
        "estimated_tokens": sum(shards["estimated_tokens"]),
    }


def _check_rows(snapshot: Snapshot, found: int) -> None:
    """What was read is what the files hold by their footers."""
    if found != sum(snapshot.rows):
        raise StageError(
            f"corpus {snapshot.path}: {found:,} rows were read, and the footers of its {len(snapshot.files):,} files "
            f"count {sum(snapshot.rows):,}; if its files changed meanwhile, start the same command again"
        )


def _check(run: Run, summary: Mapping[str, Any], before: Snapshot) -> None:
    """Every row is accepted or rejected, and all passes over the corpus read the same files."""
    problems = []
    if summary["documents"] + summary["rejected"] != summary["rows"]:
        problems.append(f"documents and rejects do not add up to its rows ({summary})")
    if list_corpus(run.config.corpus.path).digest != before.digest:
        problems.append("its files changed while they were read")
    if problems:
        raise StageError(f"corpus {run.config.corpus.path}: {' and '.join(problems)}; start the same command again")
