"""Evaluation as a loop over rows, to compare the columns of `uniner_dist.evaluation` with."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.scoring import (
    Counts,
    Span,
    bootstrap_intervals,
    macro_f1,
    mention_counts,
    normalize_mention,
    official_answer,
    official_mentions,
    relaxed_span_counts,
    strict_span_counts,
    total,
)
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.answer import is_passage_outputs
from uniner_dist.evaluation.confidence import summarise_confidence
from uniner_dist.evaluation.figures import ConfidenceSummary
from uniner_dist.storage.control_files import record_values


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one annotation that matter here; see `schemas.ANNOTATION_FIELDS`.

    Args:
        group: value of the `by` column where the annotations have it and the gold has not.
    """

    doc_id: str
    entity_type: str
    entities: Sequence[Mapping[str, Any]] = ()
    outcome: str = Outcome.NONE.value
    raw_output: str | None = None
    score: float | None = None
    group: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no whole answer."""
        return self.outcome not in (Outcome.FOUND.value, Outcome.NONE.value)

    @property
    def counted(self) -> Sequence[Mapping[str, Any]]:
        """The entities that count: none of a failed answer, because what it lists is known not to be the whole."""
        return () if self.failed else self.entities

    def official(self) -> list[str]:
        """The answer as the authors' evaluator reads the model's raw output: normalised, each mention once.

        The raw output is kept whenever it is not simply the list of the entities' texts. A document of several
        passages has no single output: the mentions located in it are its answer, and none if a passage failed.
        """
        if self.raw_output is not None and not is_passage_outputs(self.raw_output):
            return official_mentions(official_answer(self.raw_output))
        return list(dict.fromkeys(normalize_mention(entity["text"]) for entity in self.counted))


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """The answer for one document and entity type.

    Args:
        mentions: each string once, in order.
        official: the mentions as the authors' evaluator reads them, normalised.
        spans: (start, end) in code points of the document's text; None where the gold has no offsets.
        group: value of the `by` column, None when there is none.
    """

    mentions: tuple[str, ...]
    official: tuple[str, ...]
    spans: frozenset[Span] | None = None
    group: str | None = None


@dataclass
class Gold:
    """All gold answers: id → entity type → answer."""

    documents: dict[str, dict[str, GoldAnswer]] = field(default_factory=dict)
    has_group: bool = False

    @property
    def types(self) -> list[str]:
        return list(dict.fromkeys(name for answers in self.documents.values() for name in answers))

    @property
    def has_spans(self) -> bool:
        answers = [answer for document in self.documents.values() for answer in document.values()]
        return any(answer.mentions for answer in answers) and all(answer.spans is not None for answer in answers)


def gold_answer(entities: Iterable[str | Mapping[str, Any]], group: str | None = None) -> GoldAnswer:
    """An answer from strings, or from mappings with `text`, `start`, `end` (offsets may be null)."""
    items = list(entities)
    texts = [item if isinstance(item, str) else item["text"] for item in items]
    places = [(None, None) if isinstance(item, str) else (item.get("start"), item.get("end")) for item in items]
    spans = frozenset((start, end) for start, end in places if start is not None and end is not None)
    complete = all(start is not None and end is not None for start, end in places)
    mentions = tuple(dict.fromkeys(texts))
    return GoldAnswer(mentions, _official(mentions), spans if complete else None, group)


def _official(mentions: tuple[str, ...]) -> tuple[str, ...]:
    """What the authors' evaluator makes of gold, which they keep as the JSON string that a perfect answer is.

    So a mention with `]` empties the list, there too.
    """
    return tuple(official_mentions(json.dumps(mentions, ensure_ascii=False))) if mentions else ()


#: Length of every list of worst things.
WORST: Final = 20
#: Most frequent mentions listed for a type.
_FREQUENT: Final = 5


@dataclass(frozen=True, slots=True)
class PairError:
    """What is wrong with one answer: `missed` gold mentions, and `spurious` ones with the types whose gold has them."""

    doc_id: str
    entity_type: str
    outcome: str
    missed: tuple[str, ...]
    spurious: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def errors(self) -> int:
        """Number of wrong mentions."""
        return len(self.missed) + len(self.spurious)


@dataclass
class _TypeErrors:
    missed: Counter[str] = field(default_factory=Counter)
    spurious: Counter[str] = field(default_factory=Counter)


class ErrorList:
    """Errors so far; keeps the worst pairs, and counts per document, type and pair of types."""

    def __init__(self) -> None:
        self._pairs: list[tuple[int, int, PairError]] = []
        self._documents: Counter[str] = Counter()
        self._types: dict[str, _TypeErrors] = defaultdict(_TypeErrors)
        self._confusions: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._seen = 0

    def add(self, error: PairError) -> None:
        """Take note of one pair; one without errors is passed over."""
        if not error.errors:
            return
        self._seen += 1
        heapq.heappush(self._pairs, (error.errors, -self._seen, error))  # of equals the first stays
        if len(self._pairs) > WORST:
            heapq.heappop(self._pairs)
        self._documents[error.doc_id] += error.errors
        self._types[error.entity_type].missed.update(error.missed)
        for mention, gold_types in error.spurious:
            self._types[error.entity_type].spurious[mention] += 1
            for gold_type in gold_types:
                self._confusions[error.entity_type, gold_type] += 1
                self._examples[error.entity_type, gold_type][mention] += 1

    def summary(self) -> dict[str, Any]:
        """`pairs`, `documents`, `types` and `confusions`, each with the worst first."""
        ranked = sorted(self._pairs, key=lambda item: (-item[0], -item[1]))
        by_type = sorted(self._types.items(), key=lambda item: -(item[1].missed.total() + item[1].spurious.total()))
        return {
            "pairs": [_as_mapping(error) for _, _, error in ranked],
            "documents": [{"doc_id": name, "errors": n} for name, n in self._documents.most_common(WORST)],
            "types": [
                {
                    "entity_type": name,
                    "missed": errors.missed.total(),
                    "spurious": errors.spurious.total(),
                    "often_missed": _frequent(errors.missed),
                    "often_spurious": _frequent(errors.spurious),
                }
                for name, errors in by_type
            ],
            "confusions": [
                {"answered": answered, "gold": gold, "n": n, "examples": _frequent(self._examples[answered, gold])}
                for (answered, gold), n in self._confusions.most_common(WORST)
            ],
        }


def find_errors(
    doc_id: str,
    entity_type: str,
    outcome: str,
    answered: Mapping[str, str],
    gold: Mapping[str, str],
    others: Mapping[str, Sequence[str]],
) -> PairError:
    """Compare one answer with its gold.

    Args:
        answered: normalised mention → the mention as answered.
        gold: normalised mention → the mention as in the gold.
        others: normalised mention → other types of the document whose gold has it.
    """
    return PairError(
        doc_id,
        entity_type,
        outcome,
        tuple(text for key, text in gold.items() if key not in answered),
        tuple((text, tuple(others.get(key, ()))) for key, text in answered.items() if key not in gold),
    )


def _as_mapping(error: PairError) -> dict[str, Any]:
    return {
        "doc_id": error.doc_id,
        "entity_type": error.entity_type,
        "outcome": error.outcome,
        "errors": error.errors,
        "missed": list(error.missed),
        "spurious": [{"text": text, "gold_types": list(types)} for text, types in error.spurious],
    }


def _frequent(mentions: Counter[str]) -> list[dict[str, Any]]:
    return [{"text": text, "n": n} for text, n in mentions.most_common(_FREQUENT)]


METRICS: Final = ("official", "strict", "relaxed")
#: A gold pair without an annotation, among the outcomes.
MISSING: Final = "missing"
#: The group of pairs whose `by` column is null or, for want of any annotation of the document, unknown.
NO_GROUP: Final = "(none)"

Key = tuple[str, str]
#: Confidence, whether the answer is right, and its entity type.
Verdicts = list[tuple[float, bool, str]]


def _values(summary: ConfidenceSummary | None) -> dict[str, Any] | None:
    return None if summary is None else record_values(summary)


class Tally:
    """Counts so far, of every pair alone: gold is small, and intervals need them."""

    def __init__(self, gold: Gold) -> None:
        self._gold = gold
        self._metrics = METRICS if gold.has_spans else METRICS[:1]
        self._counts: dict[Key, dict[str, Counts]] = {}
        self._groups: dict[Key, str | None] = {}
        self._group_of_document: dict[str, str | None] = {}
        self._outcomes: Counter[str] = Counter()
        self._unanswered: set[Key] = set()
        self._failed_mentions = 0
        self._errors = ErrorList()
        self._mention_verdicts: Verdicts = []
        self._none_verdicts: Verdicts = []
        self.without_gold = 0

    def add(self, row: Row) -> None:
        """Count one annotation of a gold document.

        Raises:
            ConfigError: this pair was there already.
        """
        gold = self._gold.documents[row.doc_id].get(row.entity_type)
        if gold is None:
            self.without_gold += 1
            return
        if (row.doc_id, row.entity_type) in self._counts:
            raise ConfigError(f"annotations: document {row.doc_id}, type {row.entity_type} occurs more than once")
        self._group_of_document.setdefault(row.doc_id, row.group)
        self._count(row, gold)
        self._judge_confidence(row, gold)

    def scores(self, *, with_groups: bool = False) -> dict[str, Any]:
        """Everything, divided; to be called once, at the end."""
        missing = self._add_missing()
        good = (Outcome.FOUND.value, Outcome.NONE.value, MISSING)
        by_type = {name: self._scores_of(keys) for name, keys in self._keys_by_type().items()}
        return {
            "documents": len(self._gold.documents),
            "pairs": {
                "gold": len(self._counts),
                "answered": len(self._counts) - len(self._unanswered),
                "missing": missing,
                "failed": sum(n for name, n in self._outcomes.items() if name not in good),
                "failed_mentions": self._failed_mentions,
                "annotations_without_gold": self.without_gold,
            },
            "outcomes": dict(self._outcomes.most_common()),
            **self._scores_of(self._counts),
            "macro_f1": self._macro_f1(),
            "answered": self._answered(),
            "by_type": by_type,
            "by": {name: self._scores_of(keys) for name, keys in self._keys_by_group().items()}
            if with_groups
            else None,
            "confidence": self._confidence(),
            "worst": self._errors.summary(),
        }

    def _count(self, row: Row, gold: GoldAnswer) -> None:
        key = (row.doc_id, row.entity_type)
        answered, expected = row.official(), gold.official
        self._outcomes[row.outcome] += 1
        if row.failed:
            self._unanswered.add(key)
        self._failed_mentions += len(row.entities) - len(row.counted)
        self._groups[key] = gold.group if self._gold.has_group else row.group
        self._counts[key] = {"official": mention_counts(answered, expected), **self._span_counts(row, gold)}
        if set(answered) != set(expected):
            self._note_errors(row, answered, gold, expected)

    def _span_counts(self, row: Row, gold: GoldAnswer) -> dict[str, Counts]:
        if gold.spans is None or len(self._metrics) == 1:
            return {}
        found = [(entity["start"], entity["end"]) for entity in row.counted if entity["start"] is not None]
        nowhere = Counts(predicted=len(row.counted) - len(found))  # a mention without a place is a wrong one
        return {
            "strict": strict_span_counts(found, gold.spans) + nowhere,
            "relaxed": relaxed_span_counts(found, gold.spans) + nowhere,
        }

    def _note_errors(self, row: Row, answered: Sequence[str], gold: GoldAnswer, expected: Sequence[str]) -> None:
        others: dict[str, list[str]] = {}
        for name, answer in self._gold.documents[row.doc_id].items():
            if name != row.entity_type:
                for mention in answer.official:
                    others.setdefault(mention, []).append(name)
        written = _as_written(entity["text"] for entity in row.entities)
        wanted = _as_written(gold.mentions)
        error = find_errors(
            row.doc_id,
            row.entity_type,
            row.outcome,
            {mention: written.get(mention, mention) for mention in answered},
            {mention: wanted.get(mention, mention) for mention in expected},
            others,
        )
        self._errors.add(error)

    def _judge_confidence(self, row: Row, gold: GoldAnswer) -> None:
        """Take note of the confidence in each mention, or in the answer that there is none."""
        if row.failed:
            return
        if row.outcome == Outcome.NONE.value and row.score is not None:
            self._none_verdicts.append((row.score, not gold.mentions, row.entity_type))
        expected = set(gold.official)
        best: dict[str, float] = {}
        for entity in row.entities:
            if entity.get("score") is not None:
                mention = normalize_mention(entity["text"])
                best[mention] = max(best.get(mention, 0.0), entity["score"])
        self._mention_verdicts += [(score, mention in expected, row.entity_type) for mention, score in best.items()]

    def _answered(self) -> dict[str, Any] | None:
        """The scores of the pairs that have an answer, when there are others."""
        if not self._unanswered:
            return None
        return self._scores_of(key for key in self._counts if key not in self._unanswered)

    def _confidence(self) -> dict[str, Any] | None:
        kinds = {"mentions": self._mention_verdicts, "none": self._none_verdicts}
        summaries = {
            name: _values(
                summarise_confidence([v[0] for v in verdicts], [v[1] for v in verdicts], [v[2] for v in verdicts])
            )
            for name, verdicts in kinds.items()
        }
        return summaries if any(summaries.values()) else None

    def _add_missing(self) -> int:
        """Count every gold pair that had no annotation as an empty answer; returns how many there are."""
        missing = 0
        for doc_id, answers in self._gold.documents.items():
            group = self._group_of_document.get(doc_id)
            for entity_type, gold in answers.items():
                if (doc_id, entity_type) not in self._counts:
                    missing += 1
                    self._count(Row(doc_id, entity_type, outcome=MISSING, group=group), gold)
        return missing

    def _keys_by_type(self) -> dict[str, list[Key]]:
        keys: dict[str, list[Key]] = {name: [] for name in self._gold.types}
        for key in self._counts:
            keys[key[1]].append(key)
        return keys

    def _keys_by_group(self) -> dict[str, list[Key]]:
        keys: dict[str, list[Key]] = {}
        for key, group in self._groups.items():
            keys.setdefault(NO_GROUP if group is None else group, []).append(key)
        return dict(sorted(keys.items()))

    def _scores_of(self, keys: Iterable[Key]) -> dict[str, Any]:
        """Every metric over some pairs; the intervals resample whole documents."""
        scores: dict[str, Any] = dict.fromkeys(METRICS)
        pairs = list(keys)
        for metric in self._metrics:
            by_document: dict[str, Counts] = {}
            for key in pairs:
                by_document[key[0]] = by_document.get(key[0], Counts()) + self._counts[key][metric]
            scores[metric] = score_of(list(by_document.values()))
        return scores

    def _macro_f1(self) -> dict[str, float]:
        """Mean F1 over types, by metric."""
        keys = self._keys_by_type()
        return {
            metric: macro_f1(
                {name: total(self._counts[key][metric] for key in of_type) for name, of_type in keys.items()}
            )
            for metric in self._metrics
        }


def score_of(documents: Sequence[Counts]) -> dict[str, Any]:
    """`precision`, `recall`, `f1`, `counts`, and `intervals` (95 %, bootstrap over documents)."""
    counts = total(documents)
    return {
        **counts.as_scores(),
        "counts": {"correct": counts.correct, "predicted": counts.predicted, "gold": counts.gold},
        "intervals": {name: list(interval) for name, interval in bootstrap_intervals(documents).items()},
    }


def _as_written(mentions: Iterable[str]) -> Mapping[str, str]:
    """Normalised mention → the first way in which it is written."""
    written: dict[str, str] = {}
    for mention in mentions:
        written.setdefault(normalize_mention(mention), mention)
    return written
