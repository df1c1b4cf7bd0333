"""Models of all scores of annotations against gold, stored and shown in one form (`record_values`).

Scores that an earlier release stored are read as well: keys that it had and that are not known here are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from uniner_dist.errors import ConfigError
from uniner_dist.storage.control_files import Record
from uniner_dist.storage.control_files.forms import Count

Bounds = tuple[float, float]


class MentionCounts(Record):
    """Mentions that are right, that were answered, and that the gold has."""

    correct: Count
    predicted: Count
    gold: Count


class ScoreIntervals(Record):
    """95 % bootstrap intervals."""

    precision: Bounds
    recall: Bounds
    f1: Bounds


class Score(Record):
    """One metric over some annotations."""

    precision: float
    recall: float
    f1: float
    counts: MentionCounts
    intervals: ScoreIntervals


class Metrics(Record):
    """Every metric over the same annotations; those of spans are None where gold has no offsets."""

    official: Score
    strict: Score | None = None
    relaxed: Score | None = None


class Pairs(Record):
    """The (document, entity type) pairs of the gold.

    Attributes:
        answered: that have a complete answer.
        missing: without an annotation.
        failed: without a complete answer; `failed_mentions` were answered all the same, and do not count.
        annotations_without_gold: annotations of other pairs.
        skipped: that triage left out.
    """

    gold: Count
    answered: Count
    missing: Count
    failed: Count
    failed_mentions: Count = 0
    annotations_without_gold: Count = 0
    skipped: Count = 0

    @model_serializer(mode="wrap")
    def _known(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without `skipped` where nothing was: no key that only triage knows."""
        return {name: value for name, value in handler(self).items() if value or name != "skipped"}


class Ranking(Record):
    """Confidences of `n` answers, of which the share `right` is right; AUC is None where all or none are."""

    n: Count
    right: float
    auc: float | None


class CurvePoint(Record):
    """Coverage when only confidences of at least `threshold` are kept, and the share of right answers among them."""

    threshold: float
    coverage: float
    precision: float


class ReliabilityBin(Record):
    """Answers with a confidence from `low` to `high`: their number, mean confidence and the share that is right."""

    low: float
    high: float
    n: Count
    confidence: float
    right: float


class ConfidenceSummary(Ranking):
    """One kind of answer; see `evaluation.confidence`."""

    auc_within_types: float | None
    curve: tuple[CurvePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    by_type: dict[str, Ranking]


class Confidence(Record):
    """Of mentions, and of answers that there is none; None without any."""

    mentions: ConfidenceSummary | None
    none: ConfidenceSummary | None


class SpuriousMention(Record):
    """An answered mention that is not gold, and the entity types that have it in the gold of its document."""

    text: str
    gold_types: tuple[str, ...] = ()


class WorstPair(Record):
    """An annotation with many errors."""

    doc_id: str
    entity_type: str
    outcome: str
    errors: Count
    missed: tuple[str, ...]
    spurious: tuple[SpuriousMention, ...]


class WorstDocument(Record):
    """A document with many errors."""

    doc_id: str
    errors: Count


class FrequentMention(Record):
    """A mention, and how often it occurs."""

    text: str
    n: Count


class WorstType(Record):
    """An entity type with many errors."""

    entity_type: str
    missed: Count
    spurious: Count
    often_missed: tuple[FrequentMention, ...]
    often_spurious: tuple[FrequentMention, ...]


class Confusion(Record):
    """Mentions that were answered for one entity type and are gold of another."""

    answered: str
    gold: str
    n: Count
    examples: tuple[FrequentMention, ...]


class Worst(Record):
    """The worst of each kind first; equal ones in the gold's order."""

    pairs: tuple[WorstPair, ...]
    documents: tuple[WorstDocument, ...]
    types: tuple[WorstType, ...]
    confusions: tuple[Confusion, ...]


class Contradiction(Record):
    """A document whose gold and annotations count in different texts, and what says so."""

    doc_id: str
    says: str


class CoordinatesFound(Record):
    """Documents whose annotations count in another text than the gold, and were aligned or contradict it."""

    aligned: Count
    contradicting: Count
    example: Contradiction | None


class Divided(Metrics):
    """Scores of all pairs, and of parts of them.

    Attributes:
        macro_f1: metric → mean F1 of the entity types.
        answered: of the pairs with a complete answer; None where all have one.
        by_type: entity type → its scores.
        by: value of the `by` column → its scores; None without one.
    """

    macro_f1: dict[str, float]
    answered: Metrics | None
    by_type: dict[str, Metrics]
    by: dict[str, Metrics] | None


class Tallied(Divided):
    """Result of a tally over all annotations that it counted."""

    documents: Count
    pairs: Pairs
    outcomes: dict[str, Count]
    confidence: Confidence | None
    worst: Worst
    coordinates: CoordinatesFound


class Scores(Tallied):
    """Scores of an output, see docs/evaluation.md.

    Attributes:
        annotations, gold: where they are.
        by_column: what `by` is of.
        annotated_documents: documents of the gold with any annotation.
        read: notes on how the gold was read.
    """

    annotations: str
    gold: str
    by_column: str | None = None
    annotated_documents: Count
    read: tuple[str, ...] = Field(default=())


class BenchmarkTable(Record):
    """Scores of every dataset of a benchmark, by its name, and the mean of their official F1."""

    model: str
    mean_f1: float
    datasets: dict[str, Scores]


def as_scores(scores: Scores | Mapping[str, object]) -> Scores:
    """Return scores as a `Scores` record.

    Args:
        scores: a record, which is returned as it is, or the mapping that `evaluate` returns or that was stored as JSON.

    Raises:
        ConfigError: they are anything else.
    """
    if isinstance(scores, Scores):
        return scores
    try:
        return Scores.model_validate(scores, strict=False)
    except ValidationError as error:
        raise ConfigError(f"these are no scores of `evaluate`: {error.errors()[0]['msg']}") from None
