"""The worst errors: documents, types and mentions with the most errors.

Ranks gold mentions that were not answered and answered ones that are not gold, given as columns of numbers.
Mentions are compared as the authors' metric compares them. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.evaluation.figures import (
    Confusion,
    FrequentMention,
    SpuriousMention,
    Worst,
    WorstDocument,
    WorstPair,
    WorstType,
)
from uniner_dist.evaluation.gold_columns import Gold
from uniner_dist.evaluation.vocabulary import Numbers

#: Length of every list of worst things.
WORST: Final = 20
#: Most frequent mentions listed for a type.
_FREQUENT: Final = 5
_NORMAL: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Spurious:
    """Answered mentions that are not gold, by pair and in the order in which they were answered.

    Args:
        pair: of each.
        normal: number of the normalised mention.
        written: number of the mention as written.
    """

    pair: Numbers
    normal: Numbers
    written: Numbers


def worst_errors(
    gold: Gold,
    keys: Numbers,
    place: Numbers,
    hit: npt.NDArray[np.bool_],
    spurious: Spurious,
    outcome_of: Callable[[int], str],
) -> Worst:
    """Rank the errors.

    Args:
        gold: the gold answers that `keys` and `place` refer to.
        keys: of gold mentions, pair and normalised mention in one number (the pair in the upper 32 bits), ascending.
        place: position of each in the mentions of `gold`.
        hit: whether each was answered.
        spurious: answered mentions that are not gold, with the pair and the mention of each.
        outcome_of: returns the outcome of a pair, given the pair's number.

    Returns:
        The worst annotations, documents, entity types and confusions of types, most errors first; `WORST` of each at
        most, except that every type with an error is listed.
    """
    missed = np.flatnonzero(~hit)
    missed = missed[np.lexsort((place[missed], keys[missed] >> 32))]
    missed_pair, missed_text = keys[missed] >> 32, gold.mention[place[missed]].astype(np.int64)
    wrong_pair, wrong_normal, wrong_text = spurious.pair, spurious.normal, spurious.written
    bad = np.concatenate([missed_pair, wrong_pair])
    errors, bad_documents = np.bincount(bad), np.bincount(gold.document_of(bad))
    others = _OtherTypes(gold, keys, gold.document_of(wrong_pair))
    return Worst(
        pairs=tuple(
            _pairs(gold, errors, (missed_pair, missed_text), (wrong_pair, wrong_normal, wrong_text), others, outcome_of)
        ),
        documents=tuple(
            WorstDocument(doc_id=gold.documents.strings[number], errors=count)
            for number, count in _top(bad_documents, WORST)
        ),
        types=tuple(_types(gold, missed_pair, missed_text, wrong_pair, wrong_text)),
        confusions=tuple(_confusions(gold, wrong_pair, wrong_normal, wrong_text, others)),
    )


class _OtherTypes:
    """Which entity types of some documents have a mention in their gold."""

    def __init__(self, gold: Gold, keys: Numbers, documents: Numbers) -> None:
        asked = np.zeros(len(gold.documents), dtype=bool)
        asked[documents] = True
        keys = keys[asked[gold.document_of(keys >> 32)]]
        pair = keys >> 32
        named = gold.document_of(pair) << 32 | (keys & _NORMAL)
        order = np.argsort(named, kind="stable")
        self._named, self._types = named[order], gold.type_of(pair)[order]
        self._gold = gold

    def ranges(self, pair: Numbers, normal: Numbers) -> tuple[Numbers, Numbers]:
        """For each mention of a pair, where the types that have it begin and end."""
        wanted = self._gold.document_of(pair) << 32 | normal
        return np.searchsorted(self._named, wanted), np.searchsorted(self._named, wanted, side="right")

    def types(self, at: Any) -> Numbers:
        """Numbers of the types at some positions."""
        found: Numbers = self._types[at]
        return found


def _pairs(
    gold: Gold,
    errors: Numbers,
    missed: tuple[Numbers, Numbers],
    wrong: tuple[Numbers, Numbers, Numbers],
    others: _OtherTypes,
    outcome_of: Callable[[int], str],
) -> Iterator[WorstPair]:
    names = gold.mentions.strings
    for pair, count in _top(errors, WORST):
        pair_document, kind = divmod(int(gold.keys[pair]) if gold.keys is not None else pair, len(gold.types))
        mine = slice(*np.searchsorted(missed[0], [pair, pair + 1]))
        theirs = slice(*np.searchsorted(wrong[0], [pair, pair + 1]))
        begin, end = others.ranges(wrong[0][theirs], wrong[1][theirs])
        yield WorstPair(
            doc_id=gold.documents.strings[pair_document],
            entity_type=gold.types[kind],
            outcome=outcome_of(pair),
            errors=count,
            missed=tuple(names[number] for number in missed[1][mine]),
            spurious=tuple(
                SpuriousMention(
                    text=names[number], gold_types=tuple(gold.types[one] for one in others.types(slice(low, high)))
                )
                for number, low, high in zip(wrong[2][theirs], begin, end, strict=True)
            ),
        )


def _types(
    gold: Gold, missed_pair: Numbers, missed_text: Numbers, wrong_pair: Numbers, wrong_text: Numbers
) -> list[WorstType]:
    missed, wrong = gold.type_of(missed_pair), gold.type_of(wrong_pair)
    counts = [np.bincount(column, minlength=len(gold.types)) for column in (missed, wrong)]
    often_missed, often_wrong = _frequent(gold, missed, missed_text), _frequent(gold, wrong, wrong_text)
    return [
        WorstType(
            entity_type=gold.types[number],
            missed=int(counts[0][number]),
            spurious=int(counts[1][number]),
            often_missed=tuple(often_missed.get(number, [])),
            often_spurious=tuple(often_wrong.get(number, [])),
        )
        for number, _ in _top(counts[0] + counts[1], len(gold.types))
    ]


def _confusions(gold: Gold, pair: Numbers, normal: Numbers, text: Numbers, others: _OtherTypes) -> list[Confusion]:
    begin, end = others.ranges(pair, normal)
    counts = end - begin
    owner = np.repeat(np.arange(len(pair)), counts)
    at = np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(len(owner))
    both = gold.type_of(pair[owner]) * len(gold.types) + others.types(at)
    examples = _frequent(gold, both, text[owner])
    found = np.bincount(both, minlength=1) if len(both) else np.zeros(1, dtype=np.int64)
    return [
        Confusion(
            answered=gold.types[number // len(gold.types)],
            gold=gold.types[number % len(gold.types)],
            n=count,
            examples=tuple(examples[number]),
        )
        for number, count in _top(found, WORST)
    ]


def _top(counts: Numbers, length: int) -> list[tuple[int, int]]:
    """(number, count) of the highest counts above zero; of equal ones the first."""
    there = np.flatnonzero(counts)
    if len(there) > length:
        floor = np.partition(counts[there], len(there) - length)[len(there) - length]
        there = there[counts[there] >= floor]
    order = there[np.argsort(-counts[there], kind="stable")][:length]
    return [(int(number), int(counts[number])) for number in order]


def _frequent(gold: Gold, group: npt.NDArray[Any], text: Numbers) -> dict[int, list[FrequentMention]]:
    """Group → its most frequent mentions; of equally frequent ones the first."""
    keys, first, counts = np.unique(group.astype(np.int64) << 32 | text, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts, keys >> 32))
    found: dict[int, list[FrequentMention]] = {}
    groups = (keys >> 32)[order]
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    for begin in begins.tolist():
        number = int(groups[begin])
        for at in order[begin : begin + _FREQUENT].tolist():
            if int(keys[at] >> 32) == number:
                found.setdefault(number, []).append(
                    FrequentMention(text=gold.mentions.strings[int(keys[at] & _NORMAL)], n=int(counts[at]))
                )
    return found
