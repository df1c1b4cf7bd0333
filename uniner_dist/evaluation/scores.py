"""Counts of gold pairs divided into scores: of all pairs, of each entity type, of each group, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.core.scoring import Counts, bootstrap_table
from uniner_dist.evaluation.confidence import summarise_confidence
from uniner_dist.evaluation.gold import Gold
from uniner_dist.evaluation.vocabulary import Numbers, Vocabulary

METRICS: Final = ("official", "strict", "relaxed")
#: The group of pairs whose `by` column is null or, for want of any annotation of the document, unknown.
NO_GROUP: Final = "(none)"
#: Relaxed scores have the same mentions as strict ones.
_SAME: Final = {"relaxed": "strict"}

Small = npt.NDArray[np.int32]


@dataclass
class CountTable:
    """Of each gold pair: correct, predicted and gold mentions, by metric."""

    correct: dict[str, Small]
    predicted: dict[str, Small]
    gold: dict[str, Small]

    @staticmethod
    def of(pairs: int, *, spans: bool) -> CountTable:
        """Zeros."""
        metrics = METRICS if spans else METRICS[:1]
        shared = [name for name in metrics if name not in _SAME]
        return CountTable(*({name: np.zeros(pairs, np.int32) for name in names} for names in (metrics, shared, shared)))

    def columns(self, metric: str) -> tuple[Small, Small, Small]:
        """Correct, predicted and gold mentions of every pair."""
        shared = _SAME.get(metric, metric)
        return self.correct[metric], self.predicted[shared], self.gold[shared]

    def table(self, metric: str, pairs: Numbers | slice) -> npt.NDArray[np.int64]:
        """Shape: pairs × (correct, predicted, gold)."""
        return np.stack([column[pairs] for column in self.columns(metric)], axis=1).astype(np.int64)


@dataclass
class Verdicts:
    """Confidences, whether each answer is right, and its entity type's number."""

    scores: list[npt.NDArray[np.float64]] = field(default_factory=list)
    right: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    types: list[npt.NDArray[Any]] = field(default_factory=list)

    def add(self, scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], types: npt.NDArray[Any]) -> None:
        """Take note of some."""
        if len(scores):
            self.scores.append(scores)
            self.right.append(right)
            self.types.append(types)

    def summary(self, names: Sequence[str]) -> dict[str, Any] | None:
        """What `summarise_confidence` makes of them; None if there are none."""
        if not self.scores:
            return None
        found = summarise_confidence(
            np.concatenate(self.scores), np.concatenate(self.right), np.concatenate(self.types)
        )
        if found is not None:
            found["by_type"] = {names[number]: of_type for number, of_type in found["by_type"].items()}
        return found


def divide(
    counts: CountTable,
    gold: Gold,
    metrics: Sequence[str],
    unanswered: npt.NDArray[np.bool_],
    groups: tuple[Vocabulary, Numbers] | None,
) -> dict[str, Any]:
    """`official`, `strict` and `relaxed`, `macro_f1`, `answered`, `by_type`, `by`.

    Args:
        unanswered: pairs that have no whole answer.
        groups: names, and of each pair the number of its group.
    """
    of_type = _pairs_by(gold.type)
    by_type = {gold.types[number]: _scores(counts, metrics, pairs, None) for number, pairs in of_type.items()}
    macro = {
        metric: sum(_total(counts.table(metric, pairs)).f1 for pairs in of_type.values()) / max(1, len(of_type))
        for metric in metrics
    }
    answered = np.flatnonzero(~unanswered)
    some_are_not = len(answered) < gold.pairs
    return {
        **_scores(counts, metrics, slice(None), gold.document),
        "macro_f1": macro,
        "answered": _scores(counts, metrics, answered, gold.document) if some_are_not else None,
        "by_type": by_type,
        "by": None if groups is None else _by_group(counts, metrics, gold, *groups),
    }


def _by_group(
    counts: CountTable, metrics: Sequence[str], gold: Gold, names: Vocabulary, group: Numbers
) -> dict[str, Any]:
    found = {
        NO_GROUP if number < 0 else names.strings[number]: _scores(counts, metrics, pairs, gold.document)
        for number, pairs in _pairs_by(group).items()
    }
    return dict(sorted(found.items()))


def _pairs_by(numbers: npt.NDArray[Any]) -> dict[int, Numbers]:
    """Number → the pairs that have it."""
    order = np.argsort(numbers, kind="stable")
    values, first = np.unique(numbers[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:]), strict=True))


def _scores(
    counts: CountTable, metrics: Sequence[str], pairs: Numbers | slice, document: Small | None
) -> dict[str, Any]:
    """Every metric over some pairs; intervals resample whole documents, of which `document` None says one a pair."""
    scores: dict[str, Any] = dict.fromkeys(METRICS)
    for metric in metrics:
        if document is None:
            scores[metric] = score_of(counts.table(metric, pairs))
        else:
            scores[metric] = score_of(_sum_by(counts.columns(metric), pairs, document))
    return scores


def _sum_by(columns: Sequence[Small], pairs: Numbers | slice, document: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Columns of some pairs added up for each document that has any of them; shape: documents × columns."""
    owner = document[pairs]
    there = np.flatnonzero(np.bincount(owner)) if len(owner) else np.empty(0, dtype=np.int64)
    return np.stack([_added(owner, column[pairs])[there] for column in columns], axis=1)


def _added(owner: npt.NDArray[Any], column: Small) -> npt.NDArray[np.int64]:
    filled = np.flatnonzero(column)  # most pairs have no mention
    size = int(owner.max()) + 1 if len(owner) else 0
    return np.bincount(owner[filled], weights=column[filled], minlength=size).astype(np.int64)


def _total(documents: npt.NDArray[np.int64]) -> Counts:
    return Counts(*documents.sum(axis=0).tolist())


def score_of(documents: npt.NDArray[np.int64]) -> dict[str, Any]:
    """`precision`, `recall`, `f1`, `counts`, and `intervals` (95 %, bootstrap over documents)."""
    counts = _total(documents)
    return {
        **counts.as_scores(),
        "counts": {"correct": counts.correct, "predicted": counts.predicted, "gold": counts.gold},
        "intervals": {name: list(interval) for name, interval in bootstrap_table(documents).items()},
    }
