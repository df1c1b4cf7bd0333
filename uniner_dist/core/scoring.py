"""Scores of answers: the authors' metric from raw outputs, and span metrics where gold has offsets.

Compares answers with gold and returns counts. Counts add up over rows, so a large dataset is scored by summing them in
any engine, and only the last step divides. Pure; no I/O.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from uniner_dist.core.parse import official_items

#: Added to each denominator by the authors, so that an empty one gives zero.
EPSILON: Final = 1e-10

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DROP_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)

Span = tuple[int, int]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Counts:
    """Correct, predicted and gold items; add them up over rows.

    Args:
        correct: predicted items that are right.
        predicted: items predicted.
        gold: items in the gold answer.
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """Correct / predicted, in [0, 1]."""
        return self.correct / (self.predicted + EPSILON)

    @property
    def recall(self) -> float:
        """Correct / gold, in [0, 1]."""
        return self.correct / (self.gold + EPSILON)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall + EPSILON)

    def as_scores(self) -> dict[str, float]:
        """Return `precision`, `recall` and `f1` by name, each in [0, 1]."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of `counts`; zeros of none.

    Args:
        counts: counts of disjoint sets of rows.
    """
    return reduce(add, counts, Counts())


def normalize_mention(mention: str) -> str:
    """Return the form in which the authors compare mentions.

    Lower case, without ASCII punctuation, without the words a, an and the, white space collapsed (as for SQuAD).

    Args:
        mention: a string of an answer or of the gold.
    """
    bare = mention.lower().translate(_DROP_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def official_answer(output: str) -> str:
    """Return the answer within a raw output, as the authors' script extracts it: after the last "ASSISTANT:", stripped.

    Args:
        output: what the model wrote, with or without the prompt in front of it.
    """
    return output.split("ASSISTANT:")[-1].strip()


def official_mentions(answer: str | None) -> list[str]:
    """Return the mentions of an answer (or gold) string as the authors' evaluator reads it.

    They are normalised, each once, in order. A list counts if it begins at the first character, ends at the first `]`,
    is on one line, is JSON and holds only strings; anything else is an empty list. (Their inner lists, which would
    become tuples, cannot occur: the first `]` would end the outer list in the middle.) None, for want of an answer, is
    an empty list too.

    Args:
        answer: a string such as '["a", "b"]', without white space in front of the list.
    """
    items = official_items(answer) if answer is not None else None
    return list(dict.fromkeys(map(normalize_mention, items or ())))


def official_counts(output: str | None, gold: str | None) -> Counts:
    """Return the authors' counts of one (text, entity type).

    Args:
        output: raw answer such as '["a", "b"]'; None for want of an answer.
        gold: the gold answer in the same form.
    """
    return mention_counts(official_mentions(output), official_mentions(gold))


def mention_counts(predicted: Sequence[str], gold: Sequence[str]) -> Counts:
    """Return counts of two sequences of strings, which are compared as they are.

    Args:
        predicted: the answered mentions, without repeats.
        gold: the gold mentions, without repeats.
    """
    expected = set(gold)
    return Counts(sum(mention in expected for mention in predicted), len(predicted), len(gold))


def official_score(outputs: Sequence[str | None], golds: Sequence[str | None]) -> dict[str, float]:
    """Compute the authors' metric: micro-averaged over all (text, entity type) pairs.

    Same numbers as `NEREvaluator` in `src/eval/evaluate.py` of their repository for the same strings. Like theirs, it
    takes outputs as given: apply `official_answer` first if they may begin with white space.

    Args:
        outputs: raw answers, one per pair, as strings such as '["a", "b"]'; None for want of an answer.
        golds: gold answers in the same form and order. The longer of the two is cut to the length of the shorter, as
            theirs is.

    Returns:
        `precision`, `recall` and `f1`, each in [0, 1].
    """
    return total(map(official_counts, outputs, golds)).as_scores()


def strict_span_counts(predicted: Iterable[Span], gold: Iterable[Span]) -> Counts:
    """Return counts of one (document, entity type) where a span is correct if both its borders are; repeats count once.

    Args:
        predicted: (start, end) of the answered mentions, in any order.
        gold: (start, end) of the gold mentions, in the same unit and any order.
    """
    found, expected = set(predicted), set(gold)
    return Counts(len(found & expected), len(found), len(expected))


def relaxed_span_counts(predicted: Iterable[Span], gold: Iterable[Span]) -> Counts:
    """Return counts where a span is correct if it overlaps a gold span, each gold span serving one predicted span.

    As many pairs are made as can be made: a maximum matching (augmenting paths, Berge 1957), so that the order of spans
    and their nesting make no difference. Repeats count once. A span without length overlaps nothing.

    Args:
        predicted: (start, end) of the answered mentions of one (document, entity type), in any order.
        gold: (start, end) of the gold mentions, in the same unit and any order.
    """
    found, expected = sorted(set(predicted)), sorted(set(gold))
    touched = _overlaps(found, expected)
    owner: dict[int, int] = {}
    correct = sum(_augment(one, touched, owner) for one in range(len(found)) if touched[one])
    return Counts(correct, len(found), len(expected))


def _overlaps(found: Sequence[Span], expected: Sequence[Span]) -> list[list[int]]:
    """For each span the numbers of the gold spans that it overlaps; both in ascending order."""
    longest = max((end - start for start, end in expected), default=0)
    starts = [start for start, _ in expected]
    return [
        [
            number
            for number in range(bisect_left(starts, start - longest), bisect_left(starts, end))
            if max(start, starts[number]) < min(end, expected[number][1])
        ]
        for start, end in found
    ]


def _augment(first: int, touched: Sequence[Sequence[int]], owner: dict[int, int]) -> bool:
    """Find a gold span for one more predicted span, moving others to further gold spans; without recursion."""
    seen: set[int] = set()
    path: list[tuple[int, int]] = []
    waiting = [(first, iter(touched[first]))]
    while waiting:
        one, candidates = waiting[-1]
        number = next((candidate for candidate in candidates if candidate not in seen), None)
        if number is None:
            waiting.pop()
            if path:
                path.pop()
            continue
        seen.add(number)
        path.append((one, number))
        if number not in owner:
            owner.update({gold: span for span, gold in path})
            return True
        waiting.append((owner[number], iter(touched[owner[number]])))
    return False


def group_counts(rows: Iterable[tuple[K, Counts]]) -> dict[K, Counts]:
    """Return counts summed by key, in order of first appearance.

    Args:
        rows: keys (such as an entity type or a domain) with the counts of one row each.
    """
    groups: dict[K, Counts] = {}
    for key, counts in rows:
        groups[key] = groups.get(key, Counts()) + counts
    return groups


def macro_f1(groups: Mapping[K, Counts]) -> float:
    """Return the mean F1 of the groups, each of the same weight; 0 of none.

    Args:
        groups: the summed counts of each group by key.
    """
    return sum(counts.f1 for counts in groups.values()) / len(groups) if groups else 0.0


def bootstrap_intervals(
    documents: Sequence[Counts], *, samples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of `precision`, `recall` and `f1` (Efron 1979), resampling whole documents.

    Documents, not (document, type) rows, are drawn, because the answers for one document are correlated.

    Args:
        documents: the counts of each document, summed over its types.
        samples: number of resamples, each of as many documents, with replacement.
        confidence: the share of samples inside an interval, in (0, 1).
        seed: of the generator; the same seed gives the same intervals.

    Returns:
        (low, high) by the names `precision`, `recall` and `f1`; (0.0, 0.0) for no documents.
    """
    table = np.array([(one.correct, one.predicted, one.gold) for one in documents], dtype=np.int64).reshape(-1, 3)
    kinds, numbers = np.unique(table, axis=0, return_counts=True)
    return bootstrap_kinds(kinds, numbers, samples=samples, confidence=confidence, seed=seed)


def bootstrap_kinds(
    kinds: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Compute `bootstrap_intervals` from the distinct counts of documents and their numbers.

    Documents with the same counts are interchangeable, so how often each kind of them is drawn is drawn at once, from a
    multinomial distribution: the time does not grow with the number of documents.

    Args:
        kinds: different counts, ascending; shape: kinds × (correct, predicted, gold).
        numbers: how many documents have each; shape: (kinds,).
        samples: number of bootstrap replicates, each of as many documents as there are.
        confidence: the share of replicates inside an interval, in (0, 1).
        seed: of NumPy's default generator; the same seed and the same order of `kinds` give the same intervals.

    Returns:
        (low, high) by the names `precision`, `recall` and `f1`; (0.0, 0.0) for no documents.
    """
    names = ("precision", "recall", "f1")
    size = int(numbers.sum())
    if not size:
        return dict.fromkeys(names, (0.0, 0.0))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(size, numbers / size, size=samples) @ kinds.astype(np.float64)
    precision = drawn[:, 0] / (drawn[:, 1] + EPSILON)
    recall = drawn[:, 0] / (drawn[:, 2] + EPSILON)
    f1 = 2 * precision * recall / (precision + recall + EPSILON)
    tail = (1 - confidence) / 2
    intervals = (np.quantile(values, (tail, 1 - tail)) for values in (precision, recall, f1))
    return {name: (float(low), float(high)) for name, (low, high) in zip(names, intervals, strict=True)}
