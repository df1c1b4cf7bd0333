"""The counts of stage 1, and checks that they add up to the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from uniner_dist.errors import StageError
from uniner_dist.prompts.survey import Survey
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import PlannedStore, PromptsSummary, TriagePlan
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.snapshot import Snapshot


@dataclass(frozen=True)
class Totals:
    """What the occurrences add up to."""

    passages: int
    documents: int
    split: int  # documents of more than one passage


def count_occurrences(occurrences: DataFrame) -> Totals:
    """Count passages and documents in one pass over the occurrences.

    Args:
        occurrences: rows of `occurrences_of`.

    Returns:
        Passages with repeats counted, and the documents that they are of.
    """
    first = F.col("passage") == 0
    counts = occurrences.agg(
        F.count("*"), F.count(F.when(first, 1)), F.count(F.when(first & (F.col("passages") > 1), 1))
    ).first()
    return Totals(*(int(count or 0) for count in counts)) if counts else Totals(0, 0, 0)


@dataclass(frozen=True)
class Present:
    """What stage 1 found when it began.

    Attributes:
        store: path and state of the store of answers.
        erased: state of the lists of erased documents.
        whole_text_tokens: the most tokens of a text that is one passage.
    """

    store: PlannedStore
    erased: str
    whole_text_tokens: int


@dataclass(frozen=True)
class Written:
    """What stage 1 wrote: the manifest of shards, and data files of the occurrences and of the rejects."""

    manifest: pa.Table
    occurrences_files: int
    rejects_files: int


def summarise(
    totals: Totals,
    survey: Survey,
    rejects: Mapping[str, int],
    present: Present,
    written: Written,
    triage: TriagePlan | None,
) -> PromptsSummary:
    """Return the summary of stage 1.

    Args:
        totals: counts of the occurrences.
        survey: counts of the corpus.
        rejects: reason → rows, those with repeated ids among them.
        present: what was there when the stage began.
        written: what the stage wrote.
        triage: this plan's part of triage, None without triage.
    """
    shards = written.manifest.to_pydict()
    return PromptsSummary(
        rows=survey.rows,
        documents=totals.documents,
        rejected=sum(rejects.values()),
        rejects=dict(rejects),
        split_documents=totals.split,
        passages=totals.passages,
        unique_passages=sum(shards["passages"]),
        prompts=sum(shards["prompts"]),
        prompts_known=sum(shards["prompts"]) - sum(shards["asked"]) - sum(shards["skipped"]),
        prompts_to_ask=sum(shards["asked"]),
        prompts_skipped=sum(shards["skipped"]),
        shards=written.manifest.num_rows,
        estimated_tokens=sum(shards["estimated_tokens"]),
        store=present.store,
        erased=present.erased,
        whole_text_tokens=present.whole_text_tokens,
        triage=triage,
        occurrences_files=written.occurrences_files,
        rejects_files=written.rejects_files,
    )


def check_rows(snapshot: Snapshot, found: int) -> None:
    """Make sure that as many rows were read as the files have by their footers.

    Where a table does not say how many rows were deleted, fewer may be read.

    Args:
        snapshot: the corpus's files with their footers.
        found: rows that Spark has counted.

    Raises:
        StageError: with both numbers.
    """
    known = sum(snapshot.rows)
    if found != known and (snapshot.rows_are_exact or found > known):
        raise StageError(
            f"corpus {snapshot.path}: {found:,} rows were read, and the footers of its {len(snapshot.files):,} files "
            f"count {sum(snapshot.rows):,}; if its files changed meanwhile, start the same command again"
        )


def check_corpus(run: Run, summary: PromptsSummary, before: Snapshot) -> None:
    """Make sure that every row is accepted or rejected, and that all passes over the corpus read the same files.

    Args:
        run: its configuration names the corpus, for the message.
        summary: counts of the stage.
        before: the corpus's files when the stage began; they are listed again, except those of a table's version.

    Raises:
        StageError: with everything that does not hold.
    """
    problems = []
    if summary.documents + summary.rejected != summary.rows:
        problems.append(
            f"documents and rejects do not add up to its rows ({summary.documents:,} and {summary.rejected:,} of "
            f"{summary.rows:,})"
        )
    if before.table is None and list_corpus(before.path).digest != before.digest:
        problems.append("its files changed while they were read")
    if problems:
        raise StageError(f"corpus {run.config.corpus.path}: {' and '.join(problems)}; start the same command again")
