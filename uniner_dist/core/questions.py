"""Mapping between labels and questions: labels that share a question are asked once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Labelled(Protocol):
    """An entity type as it is configured: the label of its annotations, and the words that the model is asked with."""

    @property
    def label(self) -> str:
        """Label of the annotations."""

    @property
    def ask(self) -> str:
        """Word, phrase or definition that the model is asked for."""


@dataclass(frozen=True)
class Questions:
    """The questions of a run and its labels.

    Attributes:
        labels: as configured, in order.
        asked: the distinct questions, in the order of their first labels; every passage is asked them in this order.
        of_labels: for each label, the index of its question in `asked`.
    """

    labels: tuple[str, ...]
    asked: tuple[str, ...]
    of_labels: tuple[int, ...]

    @classmethod
    def of(cls, types: Iterable[Labelled]) -> Questions:
        """Return the questions of entity types; types with the same words to ask share one.

        Args:
            types: the configured entity types, in order; their labels are distinct.
        """
        pairs = [(one.label, one.ask) for one in types]
        asked = tuple(dict.fromkeys(ask for _, ask in pairs))
        return cls(tuple(label for label, _ in pairs), asked, tuple(asked.index(ask) for _, ask in pairs))

    def by_label(self) -> dict[str, str]:
        """Return label → question, in the labels' order."""
        return {label: self.asked[at] for label, at in zip(self.labels, self.of_labels, strict=True)}

    def by_question(self) -> dict[str, list[str]]:
        """Return question → the labels that it answers; both in the configured order."""
        found: dict[str, list[str]] = {question: [] for question in self.asked}
        for label, at in zip(self.labels, self.of_labels, strict=True):
            found[self.asked[at]].append(label)
        return found
