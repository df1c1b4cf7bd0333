"""The answers of a document's passages become the document's answer, with offsets into its text. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uniner_dist.core.outcomes import Outcome, worst
from uniner_dist.core.spans import MATCHES, Entity, fold_mention, is_whole


@dataclass(frozen=True, slots=True)
class PassageAnswer:
    """The answer for one passage and one entity type.

    Args:
        start: where the passage begins in the document, in code points.
        outcome: what became of it.
        entities: with offsets into the passage.
        repair: the parsing repairs used, if any.
        score: confidence of the answer as a whole, if computed.
    """

    start: int
    outcome: Outcome
    entities: Sequence[Entity]
    repair: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """The answer for a document and one entity type; `entities` have offsets into the document."""

    outcome: Outcome
    entities: tuple[Entity, ...]
    repair: str | None
    score: float | None


def join_passages(parts: Sequence[tuple[int, str]]) -> str:
    """Return the text that a document's passages make up.

    Args:
        parts: for each passage the code point of the document where it begins, and its text; sorted by start, overlaps
            allowed.

    Raises:
        ValueError: there is a gap between two passages, or they disagree about the text that they share.
    """
    pieces, length = [], 0
    for start, text in parts:
        if not 0 <= start <= length:
            raise ValueError(f"the passage that starts at {start} leaves a gap after {length}")
        pieces.append(text[length - start :])
        length = max(length, start + len(text))
    joined = "".join(pieces)
    for start, text in parts:
        if not joined.startswith(text, start):
            raise ValueError(f"the passage that starts at {start} is not what is there")
    return joined


def merge_passages(text: str, parts: Sequence[PassageAnswer]) -> DocumentAnswer:
    """Merge the answers for a document's passages into one answer for the document.

    Entities are shifted into the document. One that is in the middle of a word of the document, which a passage's
    border had cut (in a text without spaces), counts as absent. Of several with the same start and end the one with the
    stricter match is kept, with the highest score among them. An absent mention is kept once, and only if no mention
    that is the same by the loosest rule (`fold_mention`) was located anywhere in the document. The outcome is the worst
    failure, else found if anything was, else skipped if any passage was, else none. The score is the lowest of the
    answered passages' scores, None if any is missing; if the outcome is skipped, it is the highest of the probabilities
    that a skipped passage names something. Repairs are joined by "+".

    Args:
        text: the whole document.
        parts: the answers of one question for its passages: at least one, in any order.

    Returns:
        The document's answer: located entities sorted by (start, end), then the absent ones.
    """
    located: dict[tuple[int, int], Entity] = {}
    absent: dict[str, Entity] = {}
    for part in sorted(parts, key=lambda part: part.start):
        for entity in part.entities:
            shifted = _shifted(entity, part.start, text)
            if shifted.start is None or shifted.end is None:
                absent[entity.text] = _better(absent.get(entity.text), shifted)
            else:
                place = (shifted.start, shifted.end)
                located[place] = _better(located.get(place), shifted)
    found = {fold_mention(text) for text in {entity.text for entity in located.values()}} if absent else set()
    entities = [located[place] for place in sorted(located)]
    entities += [entity for text, entity in absent.items() if fold_mention(text) not in found]
    repairs = dict.fromkeys(name for part in parts if part.repair for name in part.repair.split("+"))
    outcome = worst([part.outcome for part in parts])
    return DocumentAnswer(
        outcome=outcome,
        entities=tuple(entities),
        repair="+".join(repairs) or None,
        score=_score(outcome, parts),
    )


def _score(outcome: Outcome, parts: Sequence[PassageAnswer]) -> float | None:
    """Confidences of answers and probabilities of skipped passages are never compared."""
    skips = outcome is Outcome.SKIPPED
    scores = [part.score for part in parts if (part.outcome is Outcome.SKIPPED) == skips]
    known = [score for score in scores if score is not None]
    if not known or len(known) < len(scores):
        return None
    return max(known) if skips else min(known)


def _shifted(entity: Entity, by: int, text: str) -> Entity:
    """The entity with offsets into the document, or absent if these cut a word or character of the document."""
    if entity.start is None or entity.end is None:
        return entity
    start, end = entity.start + by, entity.end + by
    if text[start:end] == entity.text and not is_whole(text, start, end):
        return entity._replace(start=None, end=None, match="absent")
    return entity._replace(start=start, end=end)


def _better(known: Entity | None, new: Entity) -> Entity:
    """The stricter match of two at the same place, with the higher score of the two."""
    if known is None:
        return new
    kept = new if MATCHES.index(new.match) < MATCHES.index(known.match) else known
    scores = [entity.score for entity in (known, new) if entity.score is not None]
    return kept._replace(score=max(scores) if scores else None)
