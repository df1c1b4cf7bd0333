"""Models of a comparison of two outputs, with one form for JSON (`record_values`)."""

from __future__ import annotations

from pydantic import Field

from uniner_dist.storage.control_files import RateIntervals, Record
from uniner_dist.storage.control_files.forms import Count


class Differences(Record):
    """Counts and rates of some annotations; see docs/growing.md.

    Attributes:
        cells: annotations on both sides.
        same: those of them with the same outcome and the same mentions.
        mentions_before, mentions_after: mentions before and after, of the annotations that both sides have.
        kept, moved, borders, vanished, appeared: these mentions by kind of change; see `core.differences.Changes`.
        only_before, only_after: annotations on one side alone.
        agreement: `same` as a share of `cells`; None where there are no cells.
        f1: F1 of one side's mentions against the other's; None where there are no mentions.
        intervals: bootstrap intervals of both rates.
        outcomes: change of outcome, such as "found → none" → annotations that changed so.
    """

    cells: Count = 0
    same: Count = 0
    mentions_before: Count = 0
    mentions_after: Count = 0
    kept: Count = 0
    moved: Count = 0
    borders: Count = 0
    vanished: Count = 0
    appeared: Count = 0
    only_before: Count = 0
    only_after: Count = 0
    agreement: float | None = None
    f1: float | None = None
    intervals: RateIntervals = RateIntervals()
    outcomes: dict[str, Count] = Field(default_factory=dict)


class ShownMention(Record):
    """A mention of an example; `start` and `end` are None where it was not located."""

    text: str
    start: Count | None = None
    end: Count | None = None


class Example(Record):
    """A document with a change: mentions, or pairs of them as they were before and after."""

    doc_id: str
    mentions: tuple[ShownMention | tuple[ShownMention, ...], ...]


class TallySummary(Differences):
    """Result of a tally.

    Attributes:
        by_type: entity type → its counts and rates.
        by: value of the `by` column → its counts and rates; None without such a column.
        examples: entity type → kind of change → some documents.
    """

    by_type: dict[str, Differences] = Field(default_factory=dict)
    by: dict[str, Differences] | None = None
    examples: dict[str, dict[str, tuple[Example, ...]]] = Field(default_factory=dict)


class ComparedSide(Record):
    """One side: a dataset, or the rows of one run in it."""

    path: str
    run: str | None = None


class ComparedDocuments(Record):
    """Numbers of documents on both sides, and on one side alone."""

    both: Count = 0
    only_before: Count = 0
    only_after: Count = 0


class Comparison(TallySummary):
    """Result of comparing two outputs; `by_column` is the column whose values are the keys of `by`."""

    before: ComparedSide
    after: ComparedSide
    by_column: str | None = None
    documents: ComparedDocuments
