"""Differences between two answers to the same question about the same document.

Sorts two lists of mentions into kept, moved, with other borders, vanished and appeared. A mention is identified by
its text and its offsets. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

#: Text, start, end (code points); the offsets are None for a mention that does not occur in its text.
Mention = tuple[str, int | None, int | None]
Pair = tuple[Mention, Mention]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Cell:
    """The answer for one (document, entity type) as it was published."""

    outcome: str
    mentions: tuple[Mention, ...] = ()

    @classmethod
    def of(cls, outcome: str, entities: Iterable[Mapping[str, Any]] | None) -> Cell:
        """Return the cell that an annotation's columns `outcome` and `entities` describe.

        Args:
            outcome: one of `core.outcomes.Outcome`.
            entities: rows with `text`, `start` and `end` (code points; None for a mention that is nowhere); None for no
                rows.
        """
        return cls(outcome, tuple((entity["text"], entity["start"], entity["end"]) for entity in entities or ()))


@dataclass(frozen=True, slots=True)
class Changes:
    """Every mention of two cells in exactly one of five lists.

    Args:
        kept: mentions that both have, text and offsets alike.
        moved: (before, after) of the same text at another place, including mentions that had no offsets before.
        borders: (before, after) that overlap with other borders.
        vanished: mentions that only the first cell has.
        appeared: mentions that only the second one has.
    """

    kept: int
    moved: Sequence[Pair] = ()
    borders: Sequence[Pair] = ()
    vanished: Sequence[Mention] = ()
    appeared: Sequence[Mention] = ()

    @property
    def none(self) -> bool:
        """Whether both cells list the same mentions."""
        return not (self.moved or self.borders or self.vanished or self.appeared)


def compare_mentions(before: Iterable[Mention], after: Iterable[Mention]) -> Changes:
    """Return the mentions of two cells sorted into `Changes`; repeats of a mention count once.

    Equal texts are paired first, in the order of their offsets, because an edit in front of them moves all mentions of
    a document; then what overlaps, from left to right.

    Args:
        before: mentions of the first cell, in any order.
        after: mentions of the second cell, in any order, with offsets into its own version of the text.
    """
    old, new = set(before), set(after)
    gone, come = sorted(old - new, key=_place), sorted(new - old, key=_place)
    moved = _pair_by(gone, come, lambda mention: mention[0])
    gone, come = _without(gone, moved, 0), _without(come, moved, 1)
    borders = _pair_overlapping(gone, come)
    return Changes(len(old & new), moved, borders, _without(gone, borders, 0), _without(come, borders, 1))


def _place(mention: Mention) -> tuple[int, int, str]:
    text, start, end = mention
    return (-1 if start is None else start, -1 if end is None else end, text)


def _pair_by(gone: Sequence[Mention], come: Sequence[Mention], key: Callable[[Mention], K]) -> list[Pair]:
    waiting: dict[K, list[Mention]] = {}
    for mention in reversed(come):
        waiting.setdefault(key(mention), []).append(mention)
    return [(mention, waiting[key(mention)].pop()) for mention in gone if waiting.get(key(mention))]


def _pair_overlapping(gone: Sequence[Mention], come: Sequence[Mention]) -> list[Pair]:
    """Pairs from left to right: of two that do not overlap, the one that ends first is skipped."""
    pairs: list[Pair] = []
    olds, news = _placed(gone), _placed(come)
    first = second = 0
    while first < len(olds) and second < len(news):
        (start, end, old), (new_start, new_end, new) = olds[first], news[second]
        if max(start, new_start) < min(end, new_end):
            pairs.append((old, new))
            first, second = first + 1, second + 1
        elif (end, start) <= (new_end, new_start):
            first += 1
        else:
            second += 1
    return pairs


def _placed(mentions: Iterable[Mention]) -> list[tuple[int, int, Mention]]:
    return [(m[1], m[2], m) for m in mentions if m[1] is not None and m[2] is not None]


def _without(mentions: Sequence[Mention], pairs: Sequence[Pair], side: int) -> list[Mention]:
    paired = {pair[side] for pair in pairs}
    return [mention for mention in mentions if mention not in paired]
