"""Texts as hashed features: their words, pairs of words, and n-grams of bytes. Pure; NumPy only.

A batch of texts is hashed as one array of bytes: windows and words are differences of one cumulative polynomial, so a
text of 200 bytes costs some tenths of a millisecond. Nothing but NumPy is needed where passages are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Features are numbers below 2 ** BITS.
BITS = 17

_WINDOWS = (3, 4, 5)

_U64 = np.uint64
Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

#: An odd number has an inverse modulo 2 ** 64, by which a polynomial's place is divided out again.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)

_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
#: Bytes of words: letters, digits, and all bytes of characters beyond ASCII.
_IN_WORD = np.array([chr(code).isalnum() for code in range(128)] + [True] * 128)


@dataclass(frozen=True)
class Features:
    """Features of a batch of texts.

    Attributes:
        indices: features of all texts one after the other, each below `2 ** BITS`; a repeated one stands repeatedly.
        offsets: where the features of each text begin, and behind the last one where they end.
    """

    indices: npt.NDArray[np.int32]
    offsets: Numbers

    def __len__(self) -> int:
        return len(self.offsets) - 1


def hash_texts(texts: Sequence[str]) -> Features:
    """Features of each text; every text has some."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(data) for data in encoded], dtype=np.int64)
    # A blank on both sides: borders of texts are borders of words, and n-grams see them.
    data = np.frombuffer(b"".join(b" " + one + b" " for one in encoded), np.uint8)
    owners = np.repeat(np.arange(len(texts)), lengths + 2)
    exact, lower = _Polynomial(data), _Polynomial(_LOWER[data])
    starts, ends = _words(data)
    hashes = [lower.windows(size) for size in _WINDOWS]
    of = [owners[: max(len(data) - size + 1, 0)] for size in _WINDOWS]
    inside = [first == owners[size - 1 :] for size, first in zip(_WINDOWS, of, strict=True)]
    hashes = [part[kept] for part, kept in zip(hashes, inside, strict=True)]
    of = [part[kept] for part, kept in zip(of, inside, strict=True)]
    words, cased = lower.between(starts, ends), exact.between(starts, ends)
    word_owners = owners[starts]
    neighbours = word_owners[1:] == word_owners[:-1]
    pairs = (words[:-1] * _U64(_BASE) + words[1:])[neighbours]
    first = np.arange(len(texts))  # one feature that every text has
    every = [*hashes, words, cased, pairs, np.zeros(len(texts), dtype=_U64)]
    every_owner = [*of, word_owners, word_owners, word_owners[1:][neighbours], first]
    mixed = [_mix(part, kind) for kind, part in enumerate(every)]
    return _by_text(np.concatenate(mixed), np.concatenate(every_owner), len(texts))


class _Polynomial:
    """Hashes of parts of an array of bytes, equal for equal parts wherever they stand."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        powers = np.full(len(data) + 1, _BASE, dtype=_U64)
        inverses = np.full(len(data) + 1, _INVERSE, dtype=_U64)
        powers[0] = inverses[0] = 1
        self._inverses = np.cumprod(inverses)
        terms = (data.astype(_U64) + _U64(1)) * np.cumprod(powers)[:-1]
        self._sums = np.concatenate([np.zeros(1, dtype=_U64), np.cumsum(terms)])

    def between(self, starts: Numbers, ends: Numbers) -> Hashes:
        parts: Hashes = (self._sums[ends] - self._sums[starts]) * self._inverses[starts]
        return parts

    def windows(self, size: int) -> Hashes:
        count = max(len(self._sums) - size, 0)
        parts: Hashes = (self._sums[size:] - self._sums[:count]) * self._inverses[:count]
        return parts


def _words(data: npt.NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Where the words begin and end; the first and the last byte are in none."""
    inside = _IN_WORD[data]
    changes = np.flatnonzero(np.diff(inside)) + 1
    return changes[::2], changes[1::2]


def _mix(hashes: Hashes, kind: int) -> npt.NDArray[np.int32]:
    """The upper bits of a product that all bits go into; kinds of features are kept apart."""
    mixed = (hashes ^ _U64((kind + 1) * _BASE % (1 << 64))) * _U64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> _U64(31))) * _U64(0x94D049BB133111EB)
    return (mixed >> _U64(64 - BITS)).astype(np.int32)


def _by_text(indices: npt.NDArray[np.int32], owners: Numbers, texts: int) -> Features:
    """Each feature of a text once, text by text."""
    keys = np.sort(owners << BITS | indices)
    keys = keys[np.diff(keys, prepend=-1) > 0]
    counts = np.bincount(keys >> BITS, minlength=texts)
    return Features((keys & ((1 << BITS) - 1)).astype(np.int32), np.concatenate([[0], np.cumsum(counts)]))
