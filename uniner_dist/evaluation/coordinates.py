"""Whether gold and annotations count in the same text, and what can be done where they do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from uniner_dist.core.spans import locate_mentions
from uniner_dist.evaluation.gold_columns import NONE, Gold
from uniner_dist.evaluation.row_batch import RowBatch
from uniner_dist.evaluation.vocabulary import Mentions, Small

#: (start, end, text).
Place = tuple[int, int, str]


@dataclass
class Coordinates:
    """Whether gold and annotations count in the same text.

    Args:
        aligned: documents of which the annotated mentions were located again, in the gold's text.
        contradicting: document's number → what the two say.
    """

    aligned: set[int] = field(default_factory=set)
    contradicting: dict[int, str] = field(default_factory=dict)


def contradiction(found: list[Place], expected: list[Place]) -> str | None:
    """Find what two sets of mentions say of one text that cannot both be true.

    Characters that both cover must be the same. And as annotations list every occurrence of a mention, a gold mention
    that they have elsewhere, while no place of the two sets agrees, is one of another text.

    Args:
        found: answered mentions of one document and entity type.
        expected: gold mentions of the same document and type.

    Returns:
        A phrase for a message that quotes both; None if nothing contradicts.
    """
    for start, end, text in found:
        for gold_start, gold_end, gold_text in expected:
            low, high = max(start, gold_start), min(end, gold_end)
            if low < high and text[low - start : high - start] != gold_text[low - gold_start : high - gold_start]:
                return describe_both(start, end, text, gold_start, gold_end, gold_text)
    elsewhere = {text: (start, end) for start, end, text in found}
    for gold_start, gold_end, gold_text in expected:
        if gold_text in elsewhere and not {place[:2] for place in found} & {place[:2] for place in expected}:
            return describe_both(*elsewhere[gold_text], gold_text, gold_start, gold_end, gold_text)
    return None


def align(batch: RowBatch, gold: Gold, coordinates: Coordinates) -> RowBatch:
    """Return the batch with offsets into the gold's text; mentions annotated in another text are located again.

    If the gold's text has a mention as often as the annotated text has it, it is at the same occurrences there.
    Otherwise the document's places cannot be compared, which is noted.

    Args:
        batch: annotations of gold pairs, with offsets into the text that was annotated.
        gold: gold with the texts of all documents (`Gold.texts`).
        coordinates: documents that were aligned, or that contradict the gold, are added to it.

    Returns:
        A batch with new offsets; `batch` itself where all offsets fit the gold's text.
    """
    placed = np.flatnonzero(batch.counted & (batch.start != NONE)).tolist()
    wrong: dict[int, list[int]] = {}
    documents = gold.document_of(batch.pair)
    for place in placed:
        text = gold.texts.get(int(documents[batch.row[place]]), "")
        if text[batch.start[place] : batch.end[place]] != gold.mentions.strings[batch.mention[place]]:
            wrong.setdefault(int(batch.row[place]), [])
    if not wrong:
        return batch
    for place in placed:
        if int(batch.row[place]) in wrong:
            wrong[int(batch.row[place])].append(place)
    start, end = batch.start.copy(), batch.end.copy()
    for row, places in wrong.items():
        document = int(documents[row])
        said = _relocate(gold.texts[document], places, batch, gold.mentions, start, end)
        if said is None:
            coordinates.aligned.add(document)
        else:
            coordinates.contradicting.setdefault(document, said)
    return replace(batch, start=start, end=end)


def _relocate(
    text: str, places: list[int], batch: RowBatch, mentions: Mentions, start: Small, end: Small
) -> str | None:
    """Put the places of one row into another text. Returns why this cannot be done; None if it was done."""
    texts = [mentions.strings[batch.mention[place]] for place in places]
    for name, count in Counter(texts).items():
        found = [entity for entity in locate_mentions(text, [name]) if entity.start is not None]
        mine = sorted((place for place, one in zip(places, texts, strict=True) if one == name), key=start.__getitem__)
        if len(found) != count:
            first = mine[0]
            return f"{name!r} was annotated at {start[first]} to {end[first]}, where the gold's text has something else"
        for place, entity in zip(mine, found, strict=True):
            start[place], end[place] = int(entity.start or 0), int(entity.end or 0)
    return None


def describe_both(start: int, end: int, text: str, other_start: int, other_end: int, other: str) -> str:
    """Return a phrase that quotes what annotations and gold say, for a message.

    Args:
        start: offset of the answered mention's first code point.
        end: offset after its last code point.
        text: the answered mention.
        other_start: offset of the gold mention's first code point.
        other_end: offset after its last code point.
        other: the gold mention.
    """
    return f"{text!r} at {start} to {end} against {other!r} at {other_start} to {other_end}"
