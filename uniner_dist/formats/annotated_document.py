"""A document with its text and the answers to its questions, the input of every export format. Pure; no I/O.

Formats that give each token one label cannot carry mentions that overlap: `without_overlaps` is the one rule by which
some of them are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from uniner_dist.core.outcomes import Outcome

#: Outcomes of questions that were answered.
ANSWERED = (Outcome.FOUND.value, Outcome.NONE.value)


class Answered(NamedTuple):
    """Facts that all documents with the same types and outcomes share.

    Attributes:
        types: entity types whose question was answered, in the order of the document's answers.
        failures: entity type → outcome, of the questions that have no answer.
        is_repeated: whether an entity type occurs more than once.
    """

    types: tuple[str, ...]
    failures: Mapping[str, str]
    is_repeated: bool


@lru_cache(maxsize=4096)
def _answered(questions: tuple[tuple[str, str], ...]) -> Answered:
    """The facts for pairs of (type, outcome); cached, as few different sequences of them occur in a corpus."""
    types = tuple(name for name, outcome in questions if outcome in ANSWERED)
    failures = {name: outcome for name, outcome in questions if outcome not in ANSWERED}
    return Answered(types, failures, len({name for name, _ in questions}) < len(questions))


_QUESTION = itemgetter("entity_type", "outcome")


class Mention(NamedTuple):
    """One mention with offsets into the text: `document.text[start:end] == text`, in code points."""

    label: str
    start: int
    end: int
    text: str
    match: str = "exact"
    score: float | None = None


@dataclass(frozen=True)
class Document:
    """A document of the annotations.

    Args:
        doc_id: its id, as a string.
        text: its whole text, as stored in the corpus.
        answers: one mapping per entity type as published, in order: `entity_type`, `outcome`, `score`, `entities`.
    """

    doc_id: str
    text: str
    answers: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    _found: list[Mapping[str, Any]] = field(init=False, repr=False, compare=False)
    _mentions: list[Mention] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = [answer for answer in self.answers if answer["entities"]]  # few of many
        mentions = [
            Mention(answer["entity_type"], e["start"], e["end"], e["text"], e["match"], e["score"])
            for answer in found
            for e in answer["entities"]
            if e["start"] is not None
        ]
        object.__setattr__(self, "_found", found)
        object.__setattr__(self, "_mentions", sorted(mentions, key=attrgetter("start", "end")))

    def mentions(self) -> list[Mention]:
        """Return every mention that has offsets, sorted by (start, end) and then in the order of the types."""
        return self._mentions

    @cached_property
    def flat_mentions(self) -> list[Mention]:
        """Those of `mentions` that are kept in formats where no two may overlap."""
        return without_overlaps(self._mentions)

    def absent(self) -> list[dict[str, str]]:
        """Return the mentions that do not occur in the text, as mappings with `label` and `text`."""
        return [
            {"label": answer["entity_type"], "text": entity["text"]}
            for answer in self._found
            for entity in answer["entities"]
            if entity["start"] is None
        ]

    @cached_property
    def answered(self) -> Answered:
        """Types whose question was answered: for them, and for no others, no mention means that there is none."""
        return _answered(tuple(map(_QUESTION, self.answers)))

    def is_as_annotated(self) -> bool:
        """Return whether every mention is in the text at its offsets."""
        return all(self.text[mention.start : mention.end] == mention.text for mention in self._mentions)


def without_overlaps(mentions: Iterable[Mention]) -> list[Mention]:
    """Return the mentions that are kept where no two may overlap, sorted by start.

    The longest is kept first, then the earliest, then the first in the order of the types.

    Args:
        mentions: in any order; among those with equal offsets the first one is kept.
    """
    mentions = sorted(mentions, key=attrgetter("start"))
    if all(one.end <= other.start for one, other in pairwise(mentions)):
        return mentions
    chosen: list[Mention] = []
    taken: set[int] = set()
    for mention in sorted(mentions, key=lambda mention: (mention.start - mention.end, mention.start)):
        # Of two that overlap the longer one is taken first, so that a border of the shorter one is inside it.
        if mention.start not in taken and mention.end - 1 not in taken:
            taken.update(range(mention.start, mention.end))
            chosen.append(mention)
    return sorted(chosen, key=lambda mention: mention.start)
