"""The worst errors: which documents, types and mentions go wrong most.

Pairs with what was answered and what is gold enter, ranked lists leave. Mentions are compared as the authors' metric
compares them. Pure; no I/O.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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
