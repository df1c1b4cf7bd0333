"""A light classifier per question: the probability that its answer about a passage is not the empty list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.triage.features import Block, Features, hash_texts

#: Texts that are hashed together: arrays that stay in a core's cache.
_TEXTS_AT_ONCE = 256
#: Weights that are gathered at a time: some MB.
_WEIGHTS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Classifier:
    """Weights of a logistic regression per question.

    Attributes:
        weights: features × questions; what they count is said by `value_of`. Of `NO_FEATURE` they are zero.
        intercepts: one per question.
    """

    weights: npt.NDArray[np.float32]
    intercepts: npt.NDArray[np.float32]

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the probabilities that the answers are not empty, texts × questions.

        Args:
            texts: passages, in any number; they are hashed in batches.
        """
        parts = [
            self._score(hash_texts(texts[start : start + _TEXTS_AT_ONCE]))
            for start in range(0, len(texts), _TEXTS_AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, len(self.intercepts)), np.float32), *parts])

    def _score(self, features: Features) -> npt.NDArray[np.float32]:
        sums = sum(block.weight * self._sums(block) for block in features.blocks)
        logits = np.clip(sums * value_of(features)[:, None] + self.intercepts, -60, 60)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def _sums(self, block: Block) -> npt.NDArray[np.float32]:
        """Weights of all features of each text, added up: texts × questions."""
        offsets, questions = block.offsets, len(self.intercepts)
        sums = np.zeros((len(offsets) - 1, questions), np.float32)
        row, at_once = 0, _WEIGHTS_AT_ONCE // max(questions, 1)
        while row < len(sums):  # as many texts as fit, one at least
            end = max(int(np.searchsorted(offsets, offsets[row] + at_once, side="right")) - 1, row + 1)
            begin, span = offsets[row], slice(offsets[row], offsets[end])
            some = np.flatnonzero(np.diff(offsets[row : end + 1])) + row  # a text may have no word
            if len(some):
                gathered = self.weights.take(block.indices[0, span], axis=0)
                for kind in block.indices[1:]:
                    gathered += self.weights.take(kind[span], axis=0)
                sums[some] = np.add.reduceat(gathered, offsets[some] - begin, axis=0)
            row = end
        return sums


def value_of(features: Features) -> npt.NDArray[np.float32]:
    """Return the factor of the features of each text, so that long texts have vectors of the same length as short ones.

    It is 1 over the root of the sum of the weights; 1 for a text without features.

    Args:
        features: features of a batch of texts.
    """
    values: npt.NDArray[np.float32] = (1 / np.sqrt(np.maximum(features.sizes, 1))).astype(np.float32)
    return values
