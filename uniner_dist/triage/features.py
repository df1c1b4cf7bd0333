"""Texts as hashed features: their words, pairs of words, and n-grams of bytes. Pure; NumPy only.

A batch of texts is hashed as one array of bytes: n-grams are packed into 32 bits, words are differences of one
cumulative polynomial, and repeated features are found by a table. So a text of 250 bytes costs about 12 microseconds.
Nothing but NumPy is needed where passages are scored.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

#: Features are numbers below 2 ** BITS.
BITS = 17

_WINDOWS = (4, 5)
#: Weight of a feature of a word, relative to an n-gram: by cross-validation on CrossNER.
_OF_WORD = 2.0
#: The feature of positions that have none, which counts nothing: n-grams across two texts, the pair after the last word
#: of a text, and what the text has already.
NO_FEATURE = 0
#: Texts whose repeated features are found together, in a table of some MB.
_TEXTS_AT_ONCE = 8

_own = threading.local()

_U32, _U64 = np.uint32, np.uint64
Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

#: An odd number has an inverse modulo 2 ** 64, by which a polynomial's position is divided out again.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
#: One odd factor for each kind of n-gram, so that kinds are kept apart.
_FACTORS = (0x9E3779B1, 0x85EBCA77)

_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
#: Bytes of words: letters, digits, and all bytes of characters beyond ASCII.
_IN_WORD = np.array([chr(code).isalnum() for code in range(128)] + [True] * 128)


@dataclass(frozen=True)
class Block:
    """Some features of each text of a batch.

    Attributes:
        indices: features × positions, each below `2 ** BITS`, text by text; `NO_FEATURE` where there is none.
        offsets: first position of each text, and one past the last position of the last text.
        weight: of each feature.
    """

    indices: Numbers
    offsets: Numbers
    weight: float


@dataclass(frozen=True)
class Features:
    """Features of a batch of texts.

    Attributes:
        blocks: n-grams at every byte, and what begins with every word.
    """

    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return len(self.blocks[0].offsets) - 1

    @property
    def sizes(self) -> npt.NDArray[np.float64]:
        """Sum of the weights of each text's features."""
        sizes = np.zeros(len(self))
        for block in self.blocks:
            present = np.zeros(block.indices.shape[1], np.int32)
            for kind in block.indices:
                present += kind != NO_FEATURE
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(present)])
            sizes += block.weight * np.diff(before[block.offsets])
        return sizes


def hash_texts(texts: Sequence[str]) -> Features:
    """Return the features of each text; a very short one may have none.

    Args:
        texts: passages; all of them are hashed at once.
    """
    # A blank on both sides: borders of texts are borders of words, and n-grams see them.
    encoded = [b" %b " % text.encode() for text in texts]
    ends = np.cumsum(np.array([len(one) for one in encoded], dtype=np.int64))
    exact = np.frombuffer(b"".join(encoded), np.uint8)
    lower = _LOWER[exact]
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    blocks = _windows(lower, offsets), _words(exact, lower, offsets)
    table = _scratch()
    for block in blocks:
        _drop_repeated(block, table)
    return Features(blocks)


def _scratch() -> npt.NDArray[np.int32]:
    """The thread's own table for `_drop_repeated`: a new one for each batch costs a fifth of hashing it."""
    table: npt.NDArray[np.int32] | None = getattr(_own, "table", None)
    if table is None:
        table = _own.table = np.empty(_TEXTS_AT_ONCE << BITS, np.int32)
    return table


def _drop_repeated(block: Block, table: npt.NDArray[np.int32]) -> None:
    """Leave each feature of a text at one of its positions only; the initial content of `table` does not matter."""
    owners = np.repeat(np.arange(len(block.offsets) - 1) % _TEXTS_AT_ONCE << BITS, np.diff(block.offsets))
    positions = np.arange(len(owners), dtype=np.int32)
    cuts = [*block.offsets[::_TEXTS_AT_ONCE], len(owners)]
    for kind in block.indices:
        keys = kind + owners
        last = np.empty_like(positions)
        for begin, end in pairwise(cuts):
            table[keys[begin:end]] = positions[begin:end]  # of several the last one stays
            table.take(keys[begin:end], out=last[begin:end], mode="clip")
        kind[last != positions] = NO_FEATURE


def _windows(lower: npt.NDArray[np.uint8], offsets: Numbers) -> Block:
    """The n-grams that begin at each byte."""
    data = np.zeros(len(lower) + _WINDOWS[-1], _U32)
    data[: len(lower)] = lower
    size = len(lower)
    packed = data[:size]
    for place in range(1, 4):
        packed = packed | data[place : size + place] << _U32(8 * place)
    indices = np.empty((len(_WINDOWS), size), np.int64)
    for row, (window, factor) in enumerate(zip(_WINDOWS, _FACTORS, strict=True)):
        if window == 5:
            packed = (packed ^ (packed >> _U32(15))) * _U32(_FACTORS[0]) + data[4 : size + 4]
        indices[row] = ((packed ^ (packed >> _U32(13))) * _U32(factor)) >> _U32(32 - BITS)
        for back in range(1, window):  # those that end in the next text; every text has two bytes at least
            indices[row, np.maximum(offsets[1:] - back, offsets[:-1])] = NO_FEATURE
    return Block(indices, offsets, 1.0)


def _words(exact: npt.NDArray[np.uint8], lower: npt.NDArray[np.uint8], offsets: Numbers) -> Block:
    """Each word, as it is written and in lower case, and with the next one; the first and the last byte are in none."""
    inside = _IN_WORD[lower]
    changes = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = changes[::2], changes[1::2]
    of_texts = np.searchsorted(starts, offsets)
    words = _between(lower, starts, ends)
    capitals = (exact[starts] != lower[starts]) + 2 * (exact[starts + 1] != lower[starts + 1])
    cased = words + capitals.astype(_U64) * _U64(_BASE)
    pairs = np.zeros_like(words)
    pairs[:-1] = words[:-1] * _U64(_BASE) + words[1:]
    indices = np.stack([_mix(part, kind) for kind, part in enumerate((words, cased, pairs))])
    last = of_texts[1:][np.diff(of_texts) > 0] - 1
    indices[-1, last] = NO_FEATURE
    return Block(indices, of_texts, _OF_WORD)


def _between(data: npt.NDArray[np.uint8], starts: Numbers, ends: Numbers) -> Hashes:
    """Hashes of parts of an array of bytes, equal for equal parts wherever they are."""
    powers, inverses = _powers(1 << len(data).bit_length())
    sums = np.zeros(len(data) + 1, _U64)
    np.cumsum(data * powers[: len(data)], out=sums[1:])
    parts: Hashes = (sums[ends] - sums[starts]) * inverses[starts]
    return parts


@lru_cache(maxsize=2)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The first powers of the base, and of its inverse."""
    powers, inverses = np.full(size, _BASE, _U64), np.full(size, _INVERSE, _U64)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers), np.cumprod(inverses)


def _mix(hashes: Hashes, kind: int) -> Numbers:
    """The upper bits of a product that all bits go into; kinds of features are kept apart."""
    mixed = (hashes ^ _U64((kind + 4) * _BASE % (1 << 64))) * _U64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> _U64(31))) * _U64(0x94D049BB133111EB)
    return (mixed >> _U64(64 - BITS)).astype(np.int64)
