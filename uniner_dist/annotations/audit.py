"""The audit between writing and publishing: every document × type has exactly one row, and not too many failed.

Compares what was written (the staged files, read back) with what the prompts stage counted. Returns the summary, or
raises one error that lists every broken invariant with its numbers. Reads counters only; changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.spans import MATCHES
from uniner_dist.errors import AuditError, ThresholdError
from uniner_dist.run.run import Run
from uniner_dist.spark.parallel import run_concurrently
from uniner_dist.spark.types import column
from uniner_dist.storage.control_files import AnnotationsSummary, PromptsSummary
from uniner_dist.storage.shards import committed_shards

#: Names listed in a message; the rest is counted.
_SHOWN = 5


def check_committed(run: Run, manifest: pa.Table) -> None:
    """Check that every shard of the manifest has its completions file.

    Args:
        run: names the folder of completions.
        manifest: rows of `schemas.SHARDS`, of which only the column `shard` is read.

    Raises:
        AuditError: naming shards that have none.
    """
    missing = sorted(set(manifest["shard"].to_pylist()) - committed_shards(run.layout))
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise AuditError(
            f"{len(missing)} of {manifest.num_rows} shards have no completions ({shown}); run the completions first"
        )


def summarise(staged: DataFrame, places: DataFrame, run: Run, prompts: PromptsSummary) -> AnnotationsSummary:
    """Count what was written and check it.

    Args:
        staged: the annotations as read back.
        places: the occurrences, one row per passage of a document; those with `passage = 0` count the documents.
        run: names the labels and the id column that the rows are checked against.
        prompts: summary of the prompts stage, whose counts of corpus rows and rejects must agree.

    Returns:
        The counts by outcome, label and match; `quarantined` is left at its default.

    Raises:
        AuditError: listing every broken invariant.
    """
    counts, mentions, (documents, ids) = run_concurrently(
        staged.sparkSession,
        lambda: [_RowCount(**row.asDict()) for row in _count_rows(staged, run).collect()],
        lambda: [_MentionCount(**row.asDict()) for row in _count_mentions(staged).collect()],
        lambda: _count_documents(places, run),
    )
    labels = [entity_type.label for entity_type in run.config.types]
    problems = _problems(counts, mentions, labels, documents, ids, prompts)
    if problems:
        raise AuditError("nothing was published: " + "; ".join(problems))
    return _summary(counts, mentions, labels, documents)


def check_threshold(run: Run, summary: AnnotationsSummary, quarantine: DataFrame) -> None:
    """Check that not too many annotations failed.

    Args:
        run: its `run.max_failed_fraction` is the limit.
        summary: counts of stage 3.
        quarantine: rows with `outcome` and `error`; read only if the limit is exceeded.

    Raises:
        ThresholdError: more failed than that; with the five commonest reasons.
    """
    limit = run.config.run.max_failed_fraction
    if summary.failed_fraction <= limit:
        return
    commonest = quarantine.groupBy("outcome", F.substring("error", 1, 120).alias("error")).count()
    top = commonest.orderBy(F.desc("count"), "outcome", "error").limit(_SHOWN).collect()
    reasons = "; ".join(
        f"{row['count']} {row['outcome']}" + (f" ({row['error']!r})" * bool(row["error"])) for row in top
    )
    raise ThresholdError(
        f"nothing was published: {summary.failed} of {summary.rows} annotations failed, more than "
        f"run.max_failed_fraction={limit:g} allows; commonest: {reasons}; all of them are in {run.layout.quarantine}"
    )


@dataclass(frozen=True)
class _RowCount:
    """Annotations of one label and outcome; `ids` is a digest of their documents, see `_digest_of_ids`."""

    entity_type: str
    outcome: str
    rows: int
    repairs: int
    ids: int


@dataclass(frozen=True)
class _MentionCount:
    """Mentions of one label that were found in one way; `misplaced` ones have offsets that cannot be."""

    entity_type: str
    match: str
    mentions: int
    misplaced: int


def _count_rows(staged: DataFrame, run: Run) -> DataFrame:
    """One row per label and outcome."""
    return staged.groupBy("entity_type", "outcome").agg(
        F.count("*").alias("rows"),
        F.count("repair").alias("repairs"),
        _digest_of_ids(column(run.config.corpus.id_column)).alias("ids"),
    )


def _count_mentions(staged: DataFrame) -> DataFrame:
    """One row per label and match; by itself, because most rows have no mention and need not be looked at for it."""
    mentions = staged.select("entity_type", F.explode("entities").alias("mention"))
    return mentions.groupBy("entity_type", F.col("mention.match").alias("match")).agg(
        F.count("*").alias("mentions"),
        F.count(F.when(_is_misplaced(F.col("mention")), True)).alias("misplaced"),
    )


def _is_misplaced(entity: Column) -> Column:
    """Whether offsets contradict the mention itself; that they hold in the text was checked where the text was."""
    start, end, text, match = (entity.getField(name) for name in ("start", "end", "text", "match"))
    nowhere = start.isNull() & end.isNull() & (match == "absent")
    placed = (start >= 0) & (end > start) & (end - start == F.length(text)) & (match != "absent")
    return ~F.when(start.isNull() | end.isNull(), nowhere).otherwise(placed)


def _count_documents(places: DataFrame, run: Run) -> tuple[int, int]:
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    row = places.where("passage = 0").agg(F.count("*"), _digest_of_ids(doc_id)).first()
    return (int(row[0]), row[1] or 0) if row else (0, 0)


def _digest_of_ids(doc_id: Column) -> Column:
    """A digest of a list of ids: one as long as a set of ids and with the set's digest is that set.

    The hash of a missing id is not cancelled out, however often the others occur. The digests of parts make that
    of the whole by another exclusive or.
    """
    return F.bit_xor(F.xxhash64(doc_id))


def _problems(
    counts: Sequence[_RowCount],
    mentions: Sequence[_MentionCount],
    labels: list[str],
    documents: int,
    ids: int,
    prompts: PromptsSummary,
) -> list[str]:
    """A message for every broken invariant."""
    problems = []
    rejected = sum(prompts.rejects.values())
    if documents + rejected != prompts.rows:
        problems.append(f"{documents} documents + {rejected} rejects are not the corpus's {prompts.rows} rows")
    total = sum(row.rows for row in counts)
    if total != documents * len(labels):
        problems.append(f"{total} rows are not {documents} documents × {len(labels)} types")
    for label in labels:
        own = [row for row in counts if row.entity_type == label]
        rows = sum(row.rows for row in own)
        if rows != documents:
            problems.append(f"{label}: {rows} rows for {documents} documents")
        elif reduce(xor, (row.ids for row in own), 0) != ids:
            problems.append(f"{label}: the ids of its rows are not those of the documents")
    unknown = {(row.entity_type, row.outcome) for row in counts} - {(n, o.value) for n in labels for o in Outcome}
    problems += [f"unknown type or outcome {pair}" for pair in sorted(unknown, key=str)]
    unknown_matches = {row.match for row in mentions} - set(MATCHES)
    problems += [f"unknown match {match!r}" for match in sorted(unknown_matches, key=str)]
    misplaced = sum(row.misplaced for row in mentions)
    if misplaced:
        problems.append(f"{misplaced} mentions have offsets that are not as far apart as their text is long")
    return problems


def _summary(
    counts: Sequence[_RowCount], mentions: Sequence[_MentionCount], labels: list[str], documents: int
) -> AnnotationsSummary:
    outcomes: Counter[str] = Counter()
    by_type: dict[str, dict[str, int]] = {label: {} for label in labels}
    by_label: Counter[str] = Counter(dict.fromkeys(labels, 0))
    matches: Counter[str] = Counter(dict.fromkeys(MATCHES, 0))
    for row in counts:
        outcomes[row.outcome] += row.rows
        by_type[row.entity_type][row.outcome] = row.rows
    for found in mentions:
        by_label[found.entity_type] += found.mentions
        matches[found.match] += found.mentions
    rows = outcomes.total()
    failed = sum(count for outcome, count in outcomes.items() if Outcome(outcome).is_failure)
    return AnnotationsSummary(
        documents=documents,
        types=len(labels),
        rows=rows,
        outcomes={outcome.value: outcomes[outcome.value] for outcome in Outcome if outcomes[outcome.value]},
        by_type=by_type,
        mentions=dict(by_label),
        matches=dict(matches),
        repairs=sum(row.repairs for row in counts),
        failed=failed,
        failed_fraction=failed / rows if rows else 0.0,
    )
