"""What a quality gate measured: stored with the run, judged anew at each start, and shown in its report."""

from __future__ import annotations

from pydantic import Field

from uniner_dist.storage.control_files.forms import Count
from uniner_dist.storage.control_files.records import Record, Share


class GoldFigures(Record):
    """What a gate measured on gold answers.

    Attributes:
        pairs: annotations that the gold has answers for.
        failed: how many of these have no complete answer.
        interval: of F1, 95 %.
        by_type: entity type → F1.
    """

    documents: Count
    pairs: Count = 0
    failed: Count = 0
    precision: Share | None = None
    recall: Share | None = None
    f1: Share
    interval: tuple[Share, Share]
    by_type: dict[str, Share]


class SliceFigures(GoldFigures):
    """The same of a slice of gold that was annotated before the bulk.

    Attributes:
        path: where the gold is.
        texts: where its texts come from.
        without_text: number of its documents for which no text was found.
    """

    path: str | None = None
    texts: str | None = None
    without_text: Count = 0


class RateIntervals(Record):
    """95 % intervals of two rates; None where there was nothing to compare."""

    agreement: tuple[Share, Share] | None = None
    f1: tuple[Share, Share] | None = None


class Agreement(Record):
    """How far two sets of answers agree; None where there was nothing to compare.

    Attributes:
        documents: number of documents that were compared.
        cells: number of annotations that were compared; in `same` the number of those that are the same.
        outcomes: change of the outcome, such as "found → none" → number of annotations that changed in this way.
    """

    documents: Count
    cells: Count = 0
    same: Count = 0
    agreement: Share | None
    f1: Share | None
    intervals: RateIntervals = RateIntervals()
    outcomes: dict[str, Count] = Field(default_factory=dict)


class Drift(Agreement):
    """Agreement with the last passing run, on these entity types."""

    labels: tuple[str, ...] = ()


class PublishedFigures(Record):
    """What a gate measured of the run's own answers."""

    gold: GoldFigures | None
    bulk: Agreement | None


class GateFigures(Record):
    """What a gate measured; None for what it did not measure.

    Attributes:
        at: when, UTC.
        run_id: of the gate's own run.
        sample: number of documents of the sample.
        published: figures of the run's own answers, before it published them.
    """

    at: str | None = None
    run_id: str | None = None
    gold: SliceFigures | None
    drift: Drift | None
    sample: Count
    published: PublishedFigures | None = None


class Verdict(GateFigures):
    """The figures of a passed quality gate; `in_corpus` names its documents that are in the corpus, gold first."""

    in_corpus: tuple[str, ...]
