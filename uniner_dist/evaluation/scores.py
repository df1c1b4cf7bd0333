"""Counts of gold pairs divided into scores: of all pairs, of each entity type, of each group, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.evaluation.active_pairs import ActivePairs
from uniner_dist.evaluation.confidence import summarise_confidence
from uniner_dist.evaluation.figures import ConfidenceSummary, Divided, Metrics, Score
from uniner_dist.evaluation.gold_columns import Gold
from uniner_dist.evaluation.kinds import kinds_by
from uniner_dist.evaluation.vocabulary import Numbers, Vocabulary

Column = npt.NDArray[Any]
#: Correct, predicted and gold mentions.
Three = tuple[Column, Column, Column]

#: The group of pairs whose `by` column is null, or unknown because the document has no annotation.
NO_GROUP: Final = "(none)"


@dataclass(frozen=True)
class CountTable:
    """Correct, predicted and gold mentions of each pair that has any, by metric.

    Args:
        pairs: numbers of these pairs, ascending.
        columns: metric → correct, predicted, gold; a value for each pair.
    """

    pairs: Numbers
    columns: Mapping[str, Three]

    @staticmethod
    def of(active: ActivePairs, mentions: Mapping[str, Three]) -> CountTable:
        """Return the table of all active pairs.

        Args:
            active: the pairs with a mention, gold or answered.
            mentions: metric → the pair of each correct, of each predicted and of each gold mention. Columns that are
                the same object are counted once.
        """
        counts = _each_once(active.count, mentions)
        return CountTable(active.numbers, counts)

    def only(self, kept: npt.NDArray[np.bool_]) -> CountTable:
        """Return the table of some of the pairs.

        Args:
            kept: whether each of `pairs` is kept; same length.
        """
        return CountTable(self.pairs[kept], _each_once(lambda column: column[kept], self.columns))

    def by_document(self, gold: Gold) -> CountTable:
        """Return the counts added up by document; documents without any mention are left out.

        Args:
            gold: the gold that `pairs` are numbers of.

        Returns:
            A table whose `pairs` are numbers of documents, ascending.
        """
        owner = gold.document_of(self.pairs)
        first = np.flatnonzero(np.diff(owner, prepend=-1))  # pairs are sorted by document
        added = _each_once(lambda column: np.add.reduceat(column, first) if len(first) else column, self.columns)
        return CountTable(owner[first], added)


def _each_once(change: Callable[[Column], Column], columns: Mapping[str, Three]) -> dict[str, Three]:
    """Changed columns, those that metrics share only once."""
    changed: dict[int, Column] = {}
    for three in columns.values():
        for column in three:
            if id(column) not in changed:
                changed[id(column)] = change(column)
    return {name: (changed[id(a)], changed[id(b)], changed[id(c)]) for name, (a, b, c) in columns.items()}


@dataclass
class Verdicts:
    """Confidences, whether each answer is right, and its entity type's number."""

    scores: list[npt.NDArray[np.float64]] = field(default_factory=list)
    right: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    types: list[npt.NDArray[Any]] = field(default_factory=list)

    def add(self, scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], types: npt.NDArray[Any]) -> None:
        """Add some verdicts; three columns of equal length.

        Args:
            scores: confidence of each answer, in [0, 1].
            right: whether each answer is right.
            types: number of each answer's entity type.
        """
        if len(scores):
            self.scores.append(scores)
            self.right.append(right)
            self.types.append(types)

    def summary(self, names: Sequence[str]) -> ConfidenceSummary | None:
        """Return the summary by `summarise_confidence`; None if there are no verdicts.

        Args:
            names: entity types by their numbers.
        """
        if not self.scores:
            return None
        return summarise_confidence(
            np.concatenate(self.scores), np.concatenate(self.right), np.concatenate(self.types), names
        )


def divide(
    counts: CountTable,
    gold: Gold,
    unanswered: npt.NDArray[np.bool_],
    groups: tuple[Vocabulary, Numbers] | None,
) -> Divided:
    """Divide the counts of all pairs and of parts of them.

    Args:
        counts: correct, predicted and gold mentions of every pair that has any, by metric.
        gold: documents and labels that the numbers of pairs refer to.
        unanswered: of every pair of the gold, whether it has no whole answer.
        groups: names, and of each pair the number of its group (negative for none); None where no groups are scored.

    Returns:
        Scores of all pairs, of those with a whole answer, of each entity type with a pair, and of each group.
    """
    by_type = _by_type(counts, gold)
    macro = {
        metric: sum(_f1(one, metric) for one in by_type.values()) / max(1, len(by_type)) for metric in counts.columns
    }
    answered = None
    if unanswered.any():
        documents = _count_distinct(gold.document_of(np.flatnonzero(~unanswered)))
        answered = _of_documents(counts.only(~unanswered[counts.pairs]), gold, documents)
    whole = _of_documents(counts, gold, gold.document_count)
    return Divided(
        official=whole.official,
        strict=whole.strict,
        relaxed=whole.relaxed,
        macro_f1=macro,
        answered=answered,
        by_type=by_type,
        by=None if groups is None else _by_group(counts, gold, *groups),
    )


def _f1(metrics: Metrics, name: str) -> float:
    score = {"official": metrics.official, "strict": metrics.strict, "relaxed": metrics.relaxed}[name]
    return 0.0 if score is None else score.f1


def _by_type(counts: CountTable, gold: Gold) -> dict[str, Metrics]:
    """Intervals of a type resample its pairs, of which each document has one."""
    scores = _scores(counts, gold.type_of(counts.pairs), gold.pairs_of_type.tolist())
    return {name: one for name, one, pairs in zip(gold.types, scores, gold.pairs_of_type, strict=True) if pairs}


def _by_group(counts: CountTable, gold: Gold, names: Vocabulary, group: Numbers) -> dict[str, Metrics]:
    documents, of_active = gold.document_of(gold.all_pairs), group[counts.pairs]
    found = {}
    for number in np.unique(group).tolist():
        there = _count_distinct(documents[group == number])
        name = NO_GROUP if number < 0 else names.strings[number]
        found[name] = _of_documents(counts.only(of_active == number), gold, there)
    return dict(sorted(found.items()))


def _count_distinct(ascending: Numbers) -> int:
    return int(np.count_nonzero(np.diff(ascending, prepend=-1)))


def _of_documents(counts: CountTable, gold: Gold, documents: int) -> Metrics:
    """Every metric over some pairs; intervals resample whole documents, of which there are `documents`."""
    table = counts.by_document(gold)
    return _scores(table, np.zeros(len(table.pairs), dtype=np.int64), [documents])[0]


def _scores(counts: CountTable, group: Numbers, sizes: Sequence[int]) -> list[Metrics]:
    """Every metric of each group of documents (or pairs): of those in the table, and others without any mention."""
    scores: list[dict[str, Score]] = [{} for _ in sizes]
    for metric, columns in counts.columns.items():
        for one, kinds in zip(scores, kinds_by(group, columns, sizes), strict=True):
            one[metric] = kinds.score()
    return [Metrics(official=one["official"], strict=one.get("strict"), relaxed=one.get("relaxed")) for one in scores]
