"""Count what is right, one (document, entity type) after the other, and divide at the end.

Rows and gold enter, a nested mapping of scores leaves. Three ways to count each pair: `official` (strings, as the
authors do), `strict` and `relaxed` (spans, where all gold has offsets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.scoring import (
    Counts,
    bootstrap_intervals,
    macro_f1,
    mention_counts,
    normalize_mention,
    relaxed_span_counts,
    strict_span_counts,
    total,
)
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.answer import Row
from uniner_dist.evaluation.confidence import summarise_confidence
from uniner_dist.evaluation.errors import ErrorList, find_errors
from uniner_dist.evaluation.gold import Gold, GoldAnswer

METRICS: Final = ("official", "strict", "relaxed")
#: A gold pair without an annotation, among the outcomes.
MISSING: Final = "missing"
#: The group of pairs whose `by` column is null or, for want of any annotation of the document, unknown.
NO_GROUP: Final = "(none)"

Key = tuple[str, str]
#: Confidence, whether the answer is right, and its entity type.
Verdicts = list[tuple[float, bool, str]]


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
            raise ConfigError(f"annotations: document {row.doc_id}, type {row.entity_type} stands more than once")
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
            name: summarise_confidence([v[0] for v in verdicts], [v[1] for v in verdicts], [v[2] for v in verdicts])
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
