"""Places of mentions against those of gold, all pairs at once.

Each place (pair, start, end) becomes one number, so that what both sides have is found by sorting. What overlaps is
matched mention by mention only where several mentions of both sides are connected by overlaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.core.scoring import Span, relaxed_span_counts
from uniner_dist.evaluation.active_pairs import ActivePairs
from uniner_dist.evaluation.coordinates import Coordinates, Place, contradiction, describe_both
from uniner_dist.evaluation.gold_columns import NONE, Gold
from uniner_dist.evaluation.official import first_of_each
from uniner_dist.evaluation.vocabulary import Numbers, Small

#: Number of answers whose characters are compared; the same place with two texts is always noticed.
_COMPARED: Final = 20_000
#: Bits of a place in one number.
_BITS: Final = 63

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class Places:
    """Different places of mentions, by pair, start and end; the mention is the first one there.

    Args:
        key: of each, ascending; the same place has the same key on both sides.
        pair: number of the pair in the gold.
        start: in code points.
        end: one past the last code point.
        mention: number of the mention in `Gold.mentions`.
    """

    key: Numbers
    pair: Small
    start: Small
    end: Small
    mention: Small

    def of(self, at: Column) -> Places:
        """Return some of the places.

        Args:
            at: a mask over all places, or positions in ascending order.
        """
        return Places(self.key[at], self.pair[at], self.start[at], self.end[at], self.mention[at])


@dataclass(frozen=True)
class SpanMatches:
    """The pair of each: gold span, answered span, answered span that is right, and one that overlaps."""

    gold: Small
    predicted: Small
    strict: Small
    relaxed: Small


def match_spans(
    gold: Gold, active: ActivePairs, answered: tuple[Column, Column, Column, Column], notes: Coordinates
) -> SpanMatches:
    """Compare answered mentions with gold ones by their offsets.

    Args:
        gold: gold mentions with their offsets in code points.
        active: all pairs that have a mention.
        answered: of each mention its pair, its start in code points of the document's text (`NONE` for one that is
            nowhere: it counts as wrong), its end, and its number in `gold.mentions`.
        notes: documents in which gold and annotations count in different texts are added to its `contradicting`.

    Returns:
        The pairs of all spans and of those that are right; a place that occurs twice for a pair counts once.
    """
    placed = answered[1] != NONE
    nowhere = answered[0][~placed]
    found, expected = _places(
        [column[placed] for column in answered] if len(nowhere) else answered,
        [gold.owner, gold.start, gold.end, gold.mention],
    )
    at = np.minimum(np.searchsorted(expected.key, found.key), max(0, len(expected.key) - 1))
    same = expected.key[at] == found.key if len(expected.key) else np.zeros(len(found.key), dtype=bool)
    _note_other_texts(found, expected, np.where(same, at, -1), gold, notes)
    strict = found.pair[same]
    differs = active.count(strict) < np.minimum(active.count(found.pair), active.count(expected.pair))
    mine, theirs = (places.of(differs[active.places(places.pair)]) for places in (found, expected))
    _note_contradictions(mine, theirs, gold, notes)
    relaxed = np.concatenate([strict[~differs[active.places(strict)]], _overlapping(mine, theirs)])
    return SpanMatches(expected.pair, np.concatenate([found.pair, nowhere]), strict, relaxed)


def _places(answered: Sequence[Column], gold: Sequence[Column]) -> tuple[Places, Places]:
    """Pair, start, end and mention of both sides with their keys, each place once."""
    keys = _packed([answered[:3], gold[:3]])
    if keys is None:
        both = [np.concatenate(columns).astype(np.int64) for columns in zip(answered[:3], gold[:3], strict=True)]
        order = np.lexsort(both[::-1])
        new = np.concatenate([[False], np.any([one[order][1:] != one[order][:-1] for one in both], axis=0)])
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.cumsum(new[: len(order)])
        keys = ranks[: len(answered[0])], ranks[len(answered[0]) :]
    unique = []
    for key, columns in zip(keys, (answered, gold), strict=True):
        distinct, first = first_of_each(key)
        unique.append(Places(distinct, *(column[first] for column in columns)))
    return unique[0], unique[1]


def _packed(sides: Sequence[Sequence[Column]]) -> tuple[Numbers, Numbers] | None:
    """Pair, start and length next to one another in one number; None: they are too long, or no places."""
    lengths = [end.astype(np.int64) - start for _, start, end in sides]
    columns = [*([pair, start, length] for (pair, start, _), length in zip(sides, lengths, strict=True))]
    if any(len(column) and int(column.min()) < 0 for side in columns for column in side):
        return None
    _, starts, width = (max(int(side[which].max(initial=0)) for side in columns).bit_length() for which in range(3))
    pairs = max(int(side[0].max(initial=0)) for side in columns).bit_length()
    if pairs + starts + width > _BITS:
        return None
    first, second = ((pair.astype(np.int64) << starts | start) << width | length for pair, start, length in columns)
    return first, second


def _note_other_texts(found: Places, expected: Places, at: Numbers, gold: Gold, notes: Coordinates) -> None:
    """The same place with two texts; `at` says where a place is in `expected`, -1 if it is not."""
    names = gold.mentions.strings
    other = expected.mention[at] if len(expected.mention) else found.mention
    for here in np.flatnonzero((at >= 0) & (found.mention != other)).tolist():
        start, end = int(found.start[here]), int(found.end[here])
        said = describe_both(start, end, names[found.mention[here]], start, end, names[other[here]])
        notes.contradicting.setdefault(int(gold.document_of(found.pair[here : here + 1])[0]), said)


def _note_contradictions(found: Places, expected: Places, gold: Gold, notes: Coordinates) -> None:
    """Answers that differ in place, the first ones: two texts differ in many."""
    pairs = np.unique(found.pair)[:_COMPARED]
    names = gold.mentions.strings
    for pair, mine, theirs in zip(pairs, _parts(found, pairs, names), _parts(expected, pairs, names), strict=True):
        said = contradiction(mine, theirs)
        if said:
            notes.contradicting.setdefault(int(gold.document_of(np.array([pair]))[0]), said)


def _parts(places: Places, pairs: Column, names: Sequence[str]) -> Iterator[list[Place]]:
    """The places of some pairs, which are the first that have any."""
    begin, end = np.searchsorted(places.pair, pairs), np.searchsorted(places.pair, pairs, side="right")
    first = slice(0, int(end[-1]) if len(end) else 0)
    texts = [names[number] for number in places.mention[first].tolist()]
    table = list(zip(places.start[first].tolist(), places.end[first].tolist(), texts, strict=True))
    for low, high in zip(begin.tolist(), end.tolist(), strict=True):
        yield table[low:high]


def _overlapping(found: Places, expected: Places) -> Small:
    """The pair of each answered place of a maximum matching with gold ones that it overlaps.

    Places that are connected by overlaps are one group. A group with one place of either side has one match; only for
    groups with several of both the matching is computed.
    """
    pair = np.concatenate([found.pair, expected.pair])
    start, end = np.concatenate([found.start, expected.start]), np.concatenate([found.end, expected.end])
    side = np.repeat([0, 1], [len(found.pair), len(expected.pair)])
    order = np.lexsort((end, start, pair))
    pair, start, end, side = pair[order], start[order], end[order], side[order]
    empty = end <= start
    group = _groups(pair, start, end)
    counts = [np.bincount(group[side == one], minlength=int(group[-1]) + 1 if len(group) else 0) for one in (0, 1)]
    unsure = np.zeros(len(counts[0]), dtype=bool)
    unsure[group[empty]] = True
    fewer = np.minimum(*counts)
    unsure = (unsure & (fewer > 0)) | (fewer > 1)
    sure = np.flatnonzero((fewer == 1) & ~unsure)
    first = np.searchsorted(group, np.arange(len(fewer)))
    relaxed = [pair[first[sure]]]
    for one in np.flatnonzero(unsure).tolist():
        behind = int(first[one + 1]) if one + 1 < len(first) else len(group)
        inside = slice(int(first[one]), behind)
        spans: tuple[list[Span], list[Span]] = ([], [])
        for begin, last, which in zip(start[inside].tolist(), end[inside].tolist(), side[inside].tolist(), strict=True):
            spans[which].append((begin, last))
        relaxed.append(np.repeat(pair[first[one]], relaxed_span_counts(*spans).correct))
    return np.concatenate(relaxed)


def _groups(pair: Small, start: Small, end: Small) -> Numbers:
    """Number of each place's group; places by pair, start and end."""
    if not len(pair):
        return np.empty(0, dtype=np.int64)
    new_pair = np.concatenate([[True], pair[1:] != pair[:-1]])
    shift = (np.cumsum(new_pair) - 1) * (int(end.max()) - min(0, int(start.min())) + 1)
    reached = np.maximum.accumulate(end + shift)
    new = new_pair.copy()
    new[1:] |= (start + shift)[1:] >= reached[:-1]
    return np.cumsum(new) - 1
