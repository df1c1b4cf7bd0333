"""Places of mentions against those of gold, many rows at a time, and whether both count in the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from uniner_dist.core.scoring import Span, relaxed_span_counts
from uniner_dist.core.spans import locate_mentions
from uniner_dist.evaluation.gold import NONE, Gold
from uniner_dist.evaluation.row_batch import RowBatch
from uniner_dist.evaluation.vocabulary import Mentions, Numbers

#: Answers of which characters are compared; the same place with two texts is always noticed.
_COMPARED: Final = 20_000

#: (start, end, text).
Place = tuple[int, int, str]


@dataclass
class Coordinates:
    """Whether gold and annotations count in the same text.

    Args:
        aligned: documents of which the annotated mentions were located again, in the gold's text.
        compared: answers whose places are not those of the gold, and which were compared character by character.
        contradicting: document's number → what the two say.
    """

    aligned: set[int] = field(default_factory=set)
    compared: int = 0
    contradicting: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SpanCounts:
    """Of each row of a batch: mentions with a place that is right, or overlaps, and all that were answered."""

    strict: Numbers
    relaxed: Numbers
    predicted: Numbers


def count_spans(batch: RowBatch, gold: Gold, coordinates: Coordinates) -> SpanCounts:
    """Counts of one batch; `coordinates` takes note of documents in which the two count in different texts."""
    if gold.texts:
        batch = align(batch, gold, coordinates)
    rows = len(batch.pair)
    placed = batch.counted & (batch.start != NONE)
    nowhere = np.bincount(batch.row[batch.counted & ~placed], minlength=rows)
    found = _unique(batch.row[placed], batch.start[placed], batch.end[placed], batch.mention[placed])
    expected = _gold_spans(batch.pair, gold)
    strict, same_place = _matches(found, expected, rows)
    predicted = np.bincount(found[:, 0], minlength=rows)
    there = np.bincount(expected[:, 0], minlength=rows)
    _note_other_texts(same_place, batch, gold, coordinates)
    relaxed = strict.copy()
    open_ = strict < np.minimum(predicted, there)
    for row, mine, theirs in _places(found, expected, np.flatnonzero(open_), gold.mentions, coordinates):
        said = contradiction(mine, theirs)
        if said:
            coordinates.contradicting.setdefault(int(gold.document[batch.pair[row]]), said)
    single = np.flatnonzero(open_ & (np.bincount(found[:, 0], minlength=rows) == 1) & (there == 1))
    one, other = (table[np.searchsorted(table[:, 0], single)] for table in (found, expected))
    relaxed[single] = np.maximum(one[:, 1], other[:, 1]) < np.minimum(one[:, 2], other[:, 2])
    open_[single] = False
    for row, spans, gold_spans in _spans(found, expected, np.flatnonzero(open_)):
        relaxed[row] = relaxed_span_counts(spans, gold_spans).correct
    return SpanCounts(strict, relaxed, predicted + nowhere)


def contradiction(found: list[Place], expected: list[Place]) -> str | None:
    """What two sets of mentions say of one text that cannot both be true; None: nothing.

    Characters that both cover must be the same. And as annotations list every occurrence of a mention, a gold mention
    that they have elsewhere, and nowhere agree on, is one of another text.
    """
    for start, end, text in found:
        for gold_start, gold_end, gold_text in expected:
            low, high = max(start, gold_start), min(end, gold_end)
            if low < high and text[low - start : high - start] != gold_text[low - gold_start : high - gold_start]:
                return _words(start, end, text, gold_start, gold_end, gold_text)
    places = {(start, end) for start, end, _ in found}
    if not places & {(start, end) for start, end, _ in expected}:
        elsewhere = {text: (start, end) for start, end, text in found}
        for gold_start, gold_end, gold_text in expected:
            if gold_text in elsewhere:
                return _words(*elsewhere[gold_text], gold_text, gold_start, gold_end, gold_text)
    return None


def align(batch: RowBatch, gold: Gold, coordinates: Coordinates) -> RowBatch:
    """The batch with places in the gold's text: of documents annotated in another one, the mentions are located anew.

    A mention that the gold's text has as often as the annotated one is there at the same occurrences; otherwise the
    document's places cannot be compared, which is noted.
    """
    placed = np.flatnonzero(batch.counted & (batch.start != NONE)).tolist()
    wrong: dict[int, list[int]] = {}
    documents = gold.document[batch.pair]
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
    text: str, places: list[int], batch: RowBatch, mentions: Mentions, start: Numbers, end: Numbers
) -> str | None:
    """Put the places of one row into another text; what is in the way, if it cannot be done."""
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


def _gold_spans(pair: Numbers, gold: Gold) -> Numbers:
    """Row, start, end and mention of the gold of each row of a batch; shape: spans × 4."""
    counts = gold.begin[pair + 1] - gold.begin[pair]
    rows = np.repeat(np.arange(len(pair), dtype=np.int64), counts)
    before = np.cumsum(counts) - counts
    at = np.repeat(gold.begin[pair] - before, counts) + np.arange(len(rows))
    return _unique(rows, *(column[at].astype(np.int64) for column in (gold.start, gold.end, gold.mention)))


def _unique(row: Numbers, start: Numbers, end: Numbers, mention: Numbers) -> Numbers:
    """Each place of each row once, sorted."""
    order = np.lexsort((end, start, row))
    table = np.stack([row[order], start[order], end[order], mention[order]], axis=1)
    new = np.ones(len(table), dtype=bool)
    new[1:] = (table[1:, :3] != table[:-1, :3]).any(axis=1)
    unique: Numbers = table[new]
    return unique


def _matches(found: Numbers, expected: Numbers, rows: int) -> tuple[Numbers, Numbers]:
    """Places that both have: how many in each row, and (row, place, mention, gold's mention)."""
    both = np.concatenate([found, expected])
    order = np.lexsort((both[:, 2], both[:, 1], both[:, 0]))
    table = both[order]
    same = np.flatnonzero((table[1:, :3] == table[:-1, :3]).all(axis=1))
    first, second = table[same], table[same + 1]
    return np.bincount(first[:, 0], minlength=rows), np.concatenate([first, second[:, 3:]], axis=1)


def _note_other_texts(matches: Numbers, batch: RowBatch, gold: Gold, coordinates: Coordinates) -> None:
    """The same place with two texts."""
    for row, start, end, mention, other in matches[matches[:, 3] != matches[:, 4]].tolist():
        names = gold.mentions.strings
        said = _words(start, end, names[mention], start, end, names[other])
        coordinates.contradicting.setdefault(int(gold.document[batch.pair[row]]), said)


def _spans(found: Numbers, expected: Numbers, rows: Numbers) -> Iterator[tuple[int, list[Span], list[Span]]]:
    """The places of some rows, and those of their gold."""
    for row, mine, theirs in zip(rows.tolist(), _parts(found, rows), _parts(expected, rows), strict=True):
        yield row, [(start, end) for start, end, _ in mine], [(start, end) for start, end, _ in theirs]


def _places(
    found: Numbers, expected: Numbers, rows: Numbers, mentions: Mentions, coordinates: Coordinates
) -> Iterator[tuple[int, list[Place], list[Place]]]:
    """The same with their texts, of the first rows that differ: two texts differ in many."""
    rows = rows[: max(0, _COMPARED - coordinates.compared)]
    coordinates.compared += len(rows)
    names = mentions.strings
    for row, mine, theirs in zip(rows.tolist(), _parts(found, rows), _parts(expected, rows), strict=True):
        places = [(start, end, names[one]) for start, end, one in mine]
        yield row, places, [(start, end, names[one]) for start, end, one in theirs]


def _parts(table: Numbers, rows: Numbers) -> Iterator[list[list[int]]]:
    """Start, end and mention of each place of some rows."""
    begin, end = np.searchsorted(table[:, 0], rows), np.searchsorted(table[:, 0], rows, side="right")
    for low, high in zip(begin.tolist(), end.tolist(), strict=True):
        yield table[low:high, 1:].tolist()


def _words(start: int, end: int, text: str, other_start: int, other_end: int, other: str) -> str:
    return f"{text!r} at {start} to {end} against {other!r} at {other_start} to {other_end}"
