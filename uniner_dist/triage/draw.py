"""Random choices that every process makes alike: a salted hash of a passage, or of a passage and a question. Pure.

Passage ids are SHA-256 digests and so uniform already; a salt of the run and a purpose are mixed in, so that two
purposes, two questions or two runs choose independently. Each cell is drawn by itself: that is what makes calibration
cells independent, which all cells of some passages would not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.core.hashing import digest

Flags = npt.NDArray[np.bool_]

_U64 = np.uint64


@dataclass(frozen=True)
class Draw:
    """What is drawn under one salt.

    Attributes:
        salt: salt of a run's plan; another plan draws independently.
    """

    salt: str

    def passages(self, ids: Sequence[str], purpose: str, share: float) -> Flags:
        """Return which passages are drawn, each with probability `share`.

        Args:
            ids: passage ids, 32 hex digits each.
            purpose: what is drawn for; draws for different purposes are independent.
            share: between 0 and 1. What is drawn with a share is drawn with a higher one too.
        """
        return self._hashes(ids, purpose, None) < share

    def cells(self, ids: Sequence[str], questions: Sequence[str], purpose: str, share: float) -> Flags:
        """Return which cells are drawn, passages × questions, each with probability `share`.

        Args:
            ids: passage ids, 32 hex digits each.
            questions: texts of the questions; each draws independently, whatever others there are.
            purpose: what is drawn for; draws for different purposes are independent.
            share: between 0 and 1. What is drawn with a share is drawn with a higher one too.
        """
        columns = [self._hashes(ids, purpose, question) < share for question in questions]
        return np.stack(columns, axis=1) if columns else np.zeros((len(ids), 0), dtype=bool)

    def _hashes(self, ids: Sequence[str], purpose: str, question: str | None) -> npt.NDArray[np.float64]:
        """Uniform numbers in [0, 1)."""
        key = int(digest({"salt": self.salt, "purpose": purpose, "question": question}), 16)
        return _mixed(_numbers(ids) ^ _U64(key)) / 2.0**64


def _numbers(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each id."""
    return np.frombuffer(bytes.fromhex("".join(ids)), ">u8")[::2].astype(_U64)


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection in which every bit counts."""
    numbers = (numbers ^ (numbers >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> _U64(27))) * _U64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = numbers ^ (numbers >> _U64(31))
    return mixed
