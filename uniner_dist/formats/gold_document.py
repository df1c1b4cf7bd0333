"""What the readers of foreign gold files return, and what they have to say about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class GoldDocument:
    """One document of a foreign gold file.

    Args:
        doc_id: given by the file, or made of its name and the document's number.
        text: what the offsets count into.
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
    """How files were read: what was taken for what, and what was left out and why.

    Args:
        facts: sentences, in the order in which they were found.
        counts: what happened how often; a phrase that follows a number.
    """

    facts: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say(self, fact: str) -> None:
        """Note a fact once."""
        if fact not in self.facts:
            self.facts.append(fact)

    def count(self, what: str, number: int = 1) -> None:
        """Count something."""
        if number:
            self.counts[what] += number

    def lines(self) -> list[str]:
        """Everything, a line each."""
        return [*self.facts, *(f"{number:,} {what}" for what, number in self.counts.items())]
