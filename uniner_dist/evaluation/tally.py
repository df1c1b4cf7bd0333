"""Count what is right, one (document, entity type) after the other, and divide at the end.

Rows and gold enter, a nested mapping of scores leaves. Three ways to count each pair: `official` (strings, as the
authors do), `strict` and `relaxed` (spans, where all gold has offsets).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.scoring import (
    Counts,
    bootstrap_intervals,
    mention_counts,
    normalize_mention,
    official_answer,
    official_mentions,
    relaxed_span_counts,
    strict_span_counts,
    total,
)
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold import Gold, GoldAnswer

METRICS: Final = ("official", "strict", "relaxed")
#: A gold pair without an annotation, among the outcomes.
MISSING: Final = "missing"
#: The group of pairs whose `by` column is null or, for want of an annotation, unknown.
NO_GROUP: Final = "(none)"


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one annotation that matter here; see `schemas.ANNOTATION_FIELDS`."""

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

    def official(self) -> list[str]:
        """The answer as the authors' evaluator reads the model's raw output.

        The raw output is kept whenever it is not simply the list of the entities' texts; for a document of several
        passages there is no single output, and the mentions located in it are the answer (none if a passage failed).
        """
        if self.raw_output is not None and not is_passage_outputs(self.raw_output):
            return official_mentions(official_answer(self.raw_output))
        texts = () if self.failed else (entity["text"] for entity in self.entities)
        return list(dict.fromkeys(map(normalize_mention, texts)))


def is_passage_outputs(raw_output: str) -> bool:
    """Whether a raw output is the list of outputs of a document of several passages."""
    if not raw_output.startswith('[{"start": '):
        return False
    try:
        parts = json.loads(raw_output)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(part, dict) and part.keys() == {"start", "output"} for part in parts)


class Tally:
    """Counts so far, of every pair alone: gold is small, and intervals need them."""

    def __init__(self, gold: Gold) -> None:
        self._gold = gold
        self._metrics = METRICS if gold.has_spans else METRICS[:1]
        self._counts: dict[tuple[str, str], dict[str, Counts]] = {}
        self._groups: dict[tuple[str, str], str | None] = {}
        self._outcomes: Counter[str] = Counter()
        self.without_gold = 0

    def add(self, row: Row) -> None:
        """Count one annotation.

        Raises:
            ConfigError: this pair was there already.
        """
        gold = self._gold.documents[row.doc_id].get(row.entity_type)
        if gold is None:
            self.without_gold += 1
            return
        if (row.doc_id, row.entity_type) in self._counts:
            raise ConfigError(f"annotations: document {row.doc_id}, type {row.entity_type} stands more than once")
        self._count(row, gold)

    def _count(self, row: Row, gold: GoldAnswer) -> None:
        key = (row.doc_id, row.entity_type)
        self._outcomes[row.outcome] += 1
        self._groups[key] = gold.group if self._gold.has_group else row.group
        self._counts[key] = self._pair_counts(row, gold)

    def _pair_counts(self, row: Row, gold: GoldAnswer) -> dict[str, Counts]:
        counts = {"official": mention_counts(row.official(), gold.official())}
        if gold.spans is not None and "strict" in self._metrics:
            entities = () if row.failed else row.entities
            found = [(entity["start"], entity["end"]) for entity in entities if entity["start"] is not None]
            # A mention that stands nowhere has no span and is a wrong one.
            nowhere = Counts(predicted=sum(entity["start"] is None for entity in entities))
            counts["strict"] = strict_span_counts(found, gold.spans) + nowhere
            counts["relaxed"] = relaxed_span_counts(found, gold.spans) + nowhere
        return counts

    def _add_missing(self) -> int:
        """Count every gold pair that had no annotation as an empty answer; returns how many there are."""
        missing = 0
        for doc_id, answers in self._gold.documents.items():
            for entity_type, gold in answers.items():
                if (doc_id, entity_type) not in self._counts:
                    missing += 1
                    self._count(Row(doc_id, entity_type, outcome=MISSING), gold)
        return missing

    def scores(self, with_groups: bool = False) -> dict[str, Any]:
        """Everything, divided; to be called once, at the end."""
        missing = self._add_missing()
        failures = sum(n for name, n in self._outcomes.items() if name not in ("found", "none", MISSING))
        result: dict[str, Any] = {
            "documents": len(self._gold.documents),
            "pairs": {
                "gold": len(self._counts),
                "missing": missing,
                "failed": failures,
                "annotations_without_gold": self.without_gold,
            },
            "outcomes": dict(self._outcomes.most_common()),
            **self._scores_of(self._counts),
            "by_type": {name: self._scores_of(keys) for name, keys in self._keys_by_type().items()},
            "by": {name: self._scores_of(keys) for name, keys in self._keys_by_group().items()}
            if with_groups
            else None,
        }
        return result

    def _keys_by_type(self) -> dict[str, list[tuple[str, str]]]:
        keys: dict[str, list[tuple[str, str]]] = {name: [] for name in self._gold.types}
        for key in self._counts:
            keys[key[1]].append(key)
        return keys

    def _keys_by_group(self) -> dict[str, list[tuple[str, str]]]:
        keys: dict[str, list[tuple[str, str]]] = {}
        for key, group in self._groups.items():
            keys.setdefault(NO_GROUP if group is None else group, []).append(key)
        return dict(sorted(keys.items()))

    def _scores_of(self, keys: Iterable[tuple[str, str]]) -> dict[str, Any]:
        keys = list(keys)
        scores: dict[str, Any] = dict.fromkeys(METRICS)
        for metric in self._metrics:
            by_document: dict[str, Counts] = {}
            for key in keys:
                by_document[key[0]] = by_document.get(key[0], Counts()) + self._counts[key][metric]
            scores[metric] = score_of(list(by_document.values()))
        return scores


def score_of(documents: Sequence[Counts]) -> dict[str, Any]:
    """`precision`, `recall`, `f1`, `counts`, and `intervals` (95 %, bootstrap over documents)."""
    counts = total(documents)
    return {
        **counts.as_scores(),
        "counts": {"correct": counts.correct, "predicted": counts.predicted, "gold": counts.gold},
        "intervals": {name: list(interval) for name, interval in bootstrap_intervals(documents).items()},
    }
