"""Stage 1 from end to end: corpus in, `rejects/`, `occurrences/`, `prompts/` and, last of all, the shards manifest out.

The manifest's presence says that the stage is done. A half-done stage is done again from its start. Only counters and
one row per shard ever reach the driver.
"""

from __future__ import annotations

from math import ceil

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist import model
from uniner_dist.core.outcomes import ERASED
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import StageError
from uniner_dist.prompts import corpus as rows
from uniner_dist.prompts.budget import PassageBudget, passage_budget
from uniner_dist.prompts.packing import Packing, plan_packing
from uniner_dist.prompts.passages import (
    LONG_TEXTS_PER_BATCH,
    LongTextSplitter,
    occurrences_of,
    split_long,
    whole_passages,
    with_keys,
)
from uniner_dist.prompts.reuse import JOIN_SETTINGS, read_cells
from uniner_dist.prompts.selection import Selection
from uniner_dist.prompts.shard_writer import ShardWriter, drop_frequent_duplicates, sorted_passages
from uniner_dist.prompts.summary import Present, Written, check_corpus, check_rows, count_occurrences, summarise
from uniner_dist.prompts.survey import Survey, expected_passages, keep_repeats, survey_corpus
from uniner_dist.prompts.triage import plan_triage
from uniner_dist.run.corpus_snapshot import run_snapshot
from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.spark.datasets import count_kept, map_in_arrow, read_table, write_rows, write_table
from uniner_dist.spark.parallel import run_concurrently
from uniner_dist.spark.stage import describe, settings, stage
from uniner_dist.spark.types import spark_schema
from uniner_dist.storage.answer_store import store_state
from uniner_dist.storage.attempts import counted_files
from uniner_dist.storage.commit import Check, always
from uniner_dist.storage.conditional import Seen, read_version, swap
from uniner_dist.storage.control_files import PlannedStore, PromptsSummary, encode_record, read_control
from uniner_dist.storage.erased import erased_state
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.shards import write_shards
from uniner_dist.storage.stage_files import remove_shards, remove_until_now

#: Text of long documents that one task splits; about half a minute of tokenising.
_LONG_BYTES_PER_TASK = 32 << 20


#: From this number of passages on, frequent ones are looked for; below, all repeats of one make no task slow.
_MANY_PASSAGES = 100_000


def write_prompts(spark: SparkSession, run: Run, check: Check = always) -> PromptsSummary:
    """Do stage 1, or nothing when it is done.

    Args:
        spark: session that runs the stage's jobs.
        run: an opened run; the files go into its folder.
        check: called before what an earlier start left is removed, and before the manifest; raises when this process
            may not go on.

    Returns:
        The summary, as in `layout.prompts_summary`.

    Raises:
        StageError: the corpus cannot be read, or changed while it was read.
    """
    if exists(run.layout.shards):
        return read_control(run.layout.prompts_summary, PromptsSummary)
    with stage(spark, "prompts"):
        # Answers belong to the shards of a finished stage; those of a half-done one may be cut otherwise next time.
        seen = read_version(run.layout.prompts_summary)
        check()
        remove_shards(run.layout)
        for folder in (run.layout.occurrences, run.layout.rejects, run.layout.splits, run.layout.repeats):
            remove_until_now(run.layout, folder)
        summary, manifest = _write(spark, run)
        check()
        _commit(run, seen, summary, manifest)
        for leftover in (run.layout.splits, run.layout.repeats):  # needed only until here, and hold texts
            remove_until_now(run.layout, leftover)
        return summary


def _commit(run: Run, seen: Seen | None, summary: PromptsSummary, manifest: pa.Table) -> None:
    """Write the summary, and last of all the manifest, unless another process has planned the run meanwhile."""
    if not swap(run.layout.prompts_summary, seen, encode_record(summary)) or not write_shards(
        run.layout, manifest, exclusive=True
    ):
        raise StageError(f"{run.layout.title}: was planned by another process meanwhile; start the same command again")


def _write(spark: SparkSession, run: Run) -> tuple[PromptsSummary, pa.Table]:
    """Write everything but the summary and the manifest, which are returned."""
    tokenizer_json = model.load_tokenizer_json(run.config.model)
    tokenizer = PromptTokenizer.from_json(tokenizer_json, get_template(run.config.model.template))
    budget = passage_budget(run.config, tokenizer)
    store = PlannedStore(path=run.config.store_path, state=store_state(run.store, run.id))
    present = Present(store, erased_state(run.erased_lists), budget.whole)
    snapshot = run_snapshot(run)
    raw = rows.read_corpus(spark, run, snapshot)
    with_reason = rows.with_reason(raw, run)
    describe(spark, "survey the corpus")
    survey, has_repeats = run_concurrently(
        spark, lambda: survey_corpus(with_reason, budget), lambda: rows.has_repeated_ids(raw, run)
    )
    check_rows(snapshot, survey.rows)
    # Looking at every row again costs a third of a pass; there are two more passes.
    corpus = with_reason if survey.rejects else raw.withColumn("reason", F.lit(None).cast("string"))
    repeats = keep_repeats(spark, run, corpus) if has_repeats else None
    rejects = _write_rejects(spark, run, corpus, survey, repeats)
    documents = rows.accepted(corpus, repeats)
    passages, occurrences = _write_occurrences(spark, run, documents, survey, budget, tokenizer_json)
    count = expected_passages(survey, budget)
    packing = _plan(run, count, survey.tokens, tokenizer)
    describe(spark, "write prompt shards")
    triage, selection = plan_triage(spark, run, occurrences)
    totals, manifest = run_concurrently(
        spark,
        lambda: count_occurrences(occurrences),
        lambda: _write_shards(spark, run, passages, occurrences, count, packing, selection),
    )
    files = (len(counted_files(run.layout.own(one))) for one in (run.layout.occurrences, run.layout.rejects))
    summary = summarise(totals, survey, rejects, present, Written(manifest, *files), triage)
    check_corpus(run, summary, snapshot)
    return summary, manifest


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
    write_rows(rejected, run.layout.own(run.layout.rejects), empty=not counts.keys() - {ERASED})
    return {reason: counts[reason] for reason in rows.REASONS if reason in counts}


def _write_occurrences(
    spark: SparkSession, run: Run, documents: DataFrame, survey: Survey, budget: PassageBudget, tokenizer_json: str
) -> tuple[DataFrame, DataFrame]:
    """Write `occurrences/`; returns all passages, and their occurrences.

    Long texts are split on the way, once: their passages are kept in a file of their own, as the shards need them too.
    """
    whole = whole_passages(documents, budget.whole)
    if not survey.long_texts:
        describe(spark, "write occurrences")
        passages = with_keys(whole)
        return passages, _keep_occurrences(spark, run, passages)
    describe(spark, "split long texts and write occurrences")
    shared = spark.sparkContext.broadcast(tokenizer_json)
    splitter = LongTextSplitter(lambda: str(shared.value), run.config.model.template, budget)
    wanted = max(2 * spark.sparkContext.defaultParallelism, ceil(survey.long_bytes / _LONG_BYTES_PER_TASK))
    path = run.layout.own(run.layout.splits)
    with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(LONG_TEXTS_PER_BATCH)}):
        split = split_long(documents, splitter, budget.whole, min(survey.long_texts, wanted), path)
        occurrences = _keep_occurrences(spark, run, with_keys(split.unionByName(whole)))  # the longest tasks first
    count_kept(path)
    return with_keys(read_table(spark, path, split.schema).unionByName(whole)), occurrences


def _keep_occurrences(spark: SparkSession, run: Run, passages: DataFrame) -> DataFrame:
    occurrences = occurrences_of(passages)
    path = run.layout.own(run.layout.occurrences)
    write_table(occurrences, path)
    return read_table(spark, path, occurrences.schema)


def _plan(run: Run, passages: int, text_tokens: int, tokenizer: PromptTokenizer) -> Packing:
    frame = len(tokenizer.prefix_ids([""])[0])
    questions = tuple(len(tokenizer.suffix_ids(ask)) for ask in run.config.questions.asked)
    prompts = run.config.prompts
    return plan_packing(passages, text_tokens, frame, questions, prompts.shard_tokens, prompts.min_shards)


def _write_shards(
    spark: SparkSession,
    run: Run,
    passages: DataFrame,
    occurrences: DataFrame,
    count: int,
    packing: Packing,
    selection: Selection,
) -> pa.Table:
    """Write `prompts/`; returns the manifest.

    Args:
        spark: its parallelism decides the number of tasks that write.
        run: names the folder, the fingerprint, the questions and the store of answers.
        passages: all passages with their ids and texts, repeats among them.
        occurrences: one row per occurrence of a passage in a document.
        count: about how many passages there are, repeats counted.
        packing: number of buckets, and the tokens of a shard.
        selection: which prompts are asked.
    """
    if not count:
        return SHARDS.empty_table()
    if count >= _MANY_PASSAGES:
        passages = drop_frequent_duplicates(passages, occurrences, count, rows.document_id(run))
    tasks = max(2 * spark.sparkContext.defaultParallelism, ceil(packing.buckets / 4))
    writer = ShardWriter(run.layout, run.fingerprint, run.config.questions.asked, packing, selection)
    cells = read_cells(spark, run, run.config.questions.asked)
    with settings(spark, JOIN_SETTINGS):
        ordered = sorted_passages(passages, cells, packing, min(packing.buckets, tasks))
        written = map_in_arrow(ordered, writer, spark_schema(SHARDS)).collect()  # one row per shard
    found = sorted((row.asDict() for row in written), key=lambda row: str(row["shard"]))
    return pa.Table.from_pylist(found, schema=SHARDS)
