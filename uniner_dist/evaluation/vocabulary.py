"""Strings as numbers: a corpus repeats its mentions, and each is normalised once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.core.scoring import normalize_mention

Numbers = npt.NDArray[np.int64]

#: Columns of at least so many strings are remembered, and so many of them: the files of all entity types often have the
#: same ids in the same order.
_LONG: Final = 1_000
_REMEMBERED: Final = 64


class Vocabulary:
    """Numbers of strings in order of first appearance."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._numbers: dict[str, int] = {}
        self._columns: dict[tuple[int, str | None], tuple[pa.Array, Numbers]] = {}

    def __len__(self) -> int:
        return len(self.strings)

    def number(self, string: str) -> int:
        """The number of a string, a new one if it is new."""
        found = self._numbers.get(string)
        if found is None:
            found = self._numbers[string] = len(self.strings)
            self.strings.append(string)
        return found

    def find(self, string: str) -> int:
        """The number of a string, -1 if there is none."""
        return self._numbers.get(string, -1)

    def numbers(self, strings: pa.Array, *, add: bool = True) -> Numbers:
        """Numbers of many strings; -1 for null, and for new ones if none are to be added."""
        if pa.types.is_dictionary(strings.type):
            strings = strings.cast(strings.type.value_type)
        if not pa.types.is_string(strings.type):
            strings = strings.cast(pa.string())
        key = (len(strings), strings[0].as_py() if len(strings) else None)
        known_column = self._columns.get(key)
        if known_column is not None and known_column[0].equals(strings):
            return known_column[1]
        found = self._look_up(strings, add)
        if len(strings) >= _LONG and (add or (found >= 0).all()):
            if len(self._columns) >= _REMEMBERED:
                self._columns.clear()
            self._columns[key] = strings, found
        return found

    def _look_up(self, strings: pa.Array, add: bool) -> Numbers:
        encoded = strings.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        numbers = [*map(self._numbers.get, distinct), -1]
        if None in numbers:
            new = self.number if add else self.find
            numbers = [new(one) if known is None else known for one, known in zip(distinct, numbers, strict=False)]
            numbers.append(-1)
        known = np.array(numbers, dtype=np.int64)
        indices = encoded.indices.fill_null(len(known) - 1)
        found: Numbers = known[indices.to_numpy(zero_copy_only=False)]
        return found


class Mentions(Vocabulary):
    """Mentions as they are written, and for each the number of its normalised form (see `normalize_mention`)."""

    def __init__(self) -> None:
        super().__init__()
        self.normal = Vocabulary()
        self._normal_of: list[int] = []
        self._array = np.empty(0, dtype=np.int64)

    def number(self, string: str) -> int:
        """The number of a mention, a new one if it is new."""
        found = super().number(string)
        if found == len(self._normal_of):
            self._normal_of.append(self.normal.number(normalize_mention(string)))
        return found

    def normal_of(self, numbers: Numbers) -> Numbers:
        """Numbers of the normalised forms of mentions."""
        if len(self._array) < len(self._normal_of):
            self._array = np.array(self._normal_of, dtype=np.int64)
        return self._array[numbers]
