"""Mentions as strings, all pairs at once: which answered ones are gold, as the authors' evaluator compares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.evaluation.errors import Spurious
from uniner_dist.evaluation.gold_columns import Gold
from uniner_dist.evaluation.vocabulary import Numbers

Flags = npt.NDArray[np.bool_]
_NORMAL = 0xFFFFFFFF


class OfficialGold:
    """Gold mentions as the authors' evaluator reads them: normalised, each once per pair.

    Their gold is the JSON string that a perfect answer is, so a mention with `]` empties the list, there too.

    Args:
        gold: all gold answers, with the mentions as written.
    """

    def __init__(self, gold: Gold) -> None:
        bracket = np.array(["]" in string for string in gold.mentions.strings], dtype=bool)[gold.mention]
        kept = np.arange(len(gold.owner))
        if bracket.any():
            kept = np.flatnonzero(~np.isin(gold.owner, gold.owner[bracket]))
        keys = gold.owner[kept].astype(np.int64) << 32 | gold.mentions.normal_of(gold.mention[kept])
        #: Pair and normalised mention in one number, ascending; and the place in the gold of the first such mention.
        self.keys, first = first_of_each(keys)
        self.place: Numbers = kept[first]

    @property
    def pair(self) -> Numbers:
        """The pair of each."""
        return self.keys >> 32

    def find(self, keys: Numbers) -> Numbers:
        """Return the positions of keys in `keys`, -1 for those that are not in it.

        Args:
            keys: pair and normalised mention in one number, as in `keys`; in any order.
        """
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


@dataclass(frozen=True)
class OfficialMatches:
    """What was answered against what is right.

    Args:
        predicted: the pair of each answered mention, each mention of a pair once.
        correct: the pair of each of these that is gold.
        hit: of each gold mention, whether it was answered; in the order of `OfficialGold.keys`.
        spurious: the answered mentions that are not gold.
    """

    predicted: Numbers
    correct: Numbers
    hit: Flags
    spurious: Spurious


def match_official(
    official: OfficialGold, gold: Gold, pair: npt.NDArray[Any], written: npt.NDArray[Any]
) -> OfficialMatches:
    """Compare answered mentions with gold ones, as normalised strings.

    Args:
        official: gold mentions, normalised as the authors' evaluator does it.
        gold: the same gold with the mentions as written, of which the numbers in `written` are.
        pair: of each answered mention; those of a pair in the order in which they were answered.
        written: number of each in `gold.mentions`.

    Returns:
        What is right, missed and spurious; a mention that was answered twice for a pair counts once.
    """
    keys, first = first_of_each(pair.astype(np.int64) << 32 | gold.mentions.normal_of(written))
    place = official.find(keys)
    right = place >= 0
    hit = np.zeros(len(official.keys), dtype=bool)
    hit[place[right]] = True
    wrong = np.flatnonzero(~right)
    wrong = wrong[np.lexsort((first[wrong], keys[wrong] >> 32))]
    spurious = Spurious(keys[wrong] >> 32, keys[wrong] & _NORMAL, written[first[wrong]].astype(np.int64))
    return OfficialMatches(keys >> 32, keys[right] >> 32, hit, spurious)


def first_of_each(keys: Numbers) -> tuple[Numbers, Numbers]:
    """Return the different keys, ascending, and the first position of each; `np.unique` without its stable sort.

    Args:
        keys: in any order, with repeats.
    """
    if len(keys) < 2 or (keys[1:] > keys[:-1]).all():
        return keys, np.arange(len(keys))
    order = np.argsort(keys)
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(begins) == len(keys):
        return ordered, order
    return ordered[begins], np.minimum.reduceat(order, begins)
