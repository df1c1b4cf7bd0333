"""Result types of the readers of foreign gold files: documents, and notes about how they were read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class GoldDocument:
    """One document of a foreign gold file.

    Args:
        doc_id: given by the file, or made of its name and the document's number.
        text: the text that offsets refer to.
        answers: entity type → mentions, as strings, or as mappings with `text`, `start` and `end` where the format
            says where they are.
        says_types: whether the file says itself which types were asked of this document: then no others are.
    """

    doc_id: str
    text: str
    answers: dict[str, list[Any]] = field(default_factory=dict)
    says_types: bool = False


@dataclass
class ReadingNotes:
    """Notes on how files were read: interpretations, and what was left out and why.

    Args:
        facts: sentences, in the order in which they were found.
        counts: phrase that follows a number → how often.
    """

    facts: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say(self, fact: str) -> None:
        """Add a fact, once."""
        if fact not in self.facts:
            self.facts.append(fact)

    def count(self, what: str, number: int = 1) -> None:
        """Increase the count of a phrase."""
        if number:
            self.counts[what] += number

    def lines(self) -> list[str]:
        """All notes, one line each."""
        return [*self.facts, *(f"{number:,} {what}" for what, number in self.counts.items())]
