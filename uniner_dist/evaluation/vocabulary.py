"""Strings as numbers: a corpus repeats its mentions, and each is normalised once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.core.scoring import normalize_mention

Numbers = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]

#: Columns of at least this many strings are cached, up to this many strings in all: the files of all entity types often
#: have the same ids in the same order.
_LONG: Final = 1_000
_REMEMBERED: Final = 4_000_000


class Vocabulary:
    """Numbers of strings in order of first appearance."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._numbers: dict[str, int] = {}
        self._columns: dict[tuple[int, Any], tuple[pa.Array, Small]] = {}
        self._rows = 0

    def __len__(self) -> int:
        return len(self.strings)

    def number(self, string: str) -> int:
        """Return the number of a string; a string that is new gets the next one.

        Args:
            string: compared as it is, code point by code point.
        """
        found = self._numbers.get(string)
        if found is None:
            found = self._numbers[string] = len(self.strings)
            self.strings.append(string)
        return found

    def find(self, string: str) -> int:
        """Return the number of a string, -1 if it has none.

        Args:
            string: compared as it is, code point by code point.
        """
        return self._numbers.get(string, -1)

    def numbers(self, strings: pa.Array, *, add: bool = True) -> Small:
        """Return the numbers of many strings; -1 for null.

        Args:
            strings: strings, also as a dictionary array, or values that are cast to strings, such as integers.
            add: whether strings that are new get a number; if not, they give -1.
        """
        if pa.types.is_dictionary(strings.type):
            return self._of_dictionary(strings, add)
        key = (len(strings), strings[0].as_py() if len(strings) else None)
        known_column = self._columns.get(key)
        if known_column is not None and known_column[0].equals(strings):
            return known_column[1]
        found = self._of_dictionary(strings.cast(pa.string()).dictionary_encode(), add)
        if len(strings) >= _LONG and (add or (found >= 0).all()):
            if (self._rows + len(strings)) > _REMEMBERED:
                self._columns.clear()
                self._rows = 0
            self._columns[key] = strings, found
            self._rows += len(strings)
        return found

    def _of_dictionary(self, encoded: pa.DictionaryArray, add: bool) -> Small:
        if encoded.dictionary.null_count:
            encoded = encoded.cast(pa.string()).dictionary_encode()
        distinct: list[str] = encoded.dictionary.cast(pa.string()).to_pylist()
        numbers = self._numbers_of(distinct) if add else [self._numbers.get(one, -1) for one in distinct]
        known = np.array([*numbers, -1], dtype=np.int32)
        if len(distinct) == 1 and not encoded.null_count:
            return np.broadcast_to(known[0], len(encoded))
        return _taken(known, encoded.indices)

    def _numbers_of(self, strings: list[str]) -> list[int]:
        """Numbers of strings, new ones for those that are new."""
        before = len(self.strings)
        numbers = list(map(self._numbers.setdefault, strings, count(before)))  # right if all are new, or none is
        added = len(self._numbers) - before
        if added == len(strings):
            self.strings += strings
        elif added:
            new = dict.fromkeys(one for one, number in zip(strings, numbers, strict=True) if number >= before)
            self._numbers.update(zip(new, count(before)))
            self.strings += new
            numbers = [self._numbers[one] for one in strings]
        return numbers


class Mentions(Vocabulary):
    """Mentions as they are written, and for each the number of its normalised form (see `normalize_mention`)."""

    def __init__(self) -> None:
        super().__init__()
        self.normal = Vocabulary()
        self._normal_of = np.empty(0, dtype=np.int32)

    def numbers(self, strings: pa.Array, *, add: bool = True) -> Small:
        """Return the numbers of many mentions, without the cache of `Vocabulary.numbers`: columns hardly ever repeat.

        Args:
            strings: mentions as they are written.
            add: whether mentions that are new get a number; if not, they give -1.
        """
        return self._of_dictionary(strings.cast(pa.string()).dictionary_encode(), add)

    def numbers_of_all(self, columns: Sequence[pa.Array]) -> Small:
        """Return the numbers of the mentions of several columns, one column after the other.

        Each distinct string is looked up once.

        Args:
            columns: columns of strings; mentions that are new get a number, null gives -1.
        """
        encoded = pa.chunked_array(columns, pa.string()).dictionary_encode().unify_dictionaries()
        if not len(encoded):
            return np.empty(0, dtype=np.int32)
        known = self.numbers(encoded.chunk(0).dictionary)
        return np.concatenate([_taken(known, chunk.indices) for chunk in encoded.chunks])

    def normal_of(self, numbers: npt.NDArray[Any]) -> Small:
        """Return the numbers in `normal` of the normalised forms of mentions.

        Args:
            numbers: numbers of mentions, none of them negative.
        """
        known = len(self._normal_of)
        if known < len(self.strings):
            new = [self.normal.number(normalize_mention(string)) for string in self.strings[known:]]
            self._normal_of = np.concatenate([self._normal_of, np.array(new, dtype=np.int32)])
        found: Small = self._normal_of[numbers]
        return found


def _taken(known: Small, indices: pa.Array) -> Small:
    """Values of a dictionary by their indices, -1 for null."""
    if not indices.null_count:
        found: Small = known[indices.to_numpy()]
        return found
    return np.where(indices.is_null().to_numpy(zero_copy_only=False), -1, known[indices.fill_null(0).to_numpy()])
