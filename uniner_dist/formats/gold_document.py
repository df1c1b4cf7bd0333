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
        answers: entity type → mentions, as strings, or as mappings with `text`, `start` and `end` (code points) where
            the format gives offsets. An empty list means that the document was annotated for the type and has no
            mention of it.
        says_types: whether the file itself states which types were asked of this document; then no others were.
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
        counts: phrase that follows a number, such as "relations are not mentions and are left out" → that number.
    """

    facts: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say(self, fact: str) -> None:
        """Add a fact, unless it was added before.

        Args:
            fact: a sentence that is shown to the user as it is.
        """
        if fact not in self.facts:
            self.facts.append(fact)

    def count(self, what: str, number: int = 1) -> None:
        """Increase the count of a phrase.

        Args:
            what: phrase that follows the number in the note.
            number: how much to add; 0 adds no note.
        """
        if number:
            self.counts[what] += number

    def lines(self) -> list[str]:
        """Return all notes, one line each: the facts, then the counts."""
        return [*self.facts, *(f"{number:,} {what}" for what, number in self.counts.items())]
