"""A light classifier per question: the probability that its answer about a passage is not the empty list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.triage.features import Features, hash_texts

#: Texts that are hashed together: some MB of intermediate arrays.
_TEXTS_AT_ONCE = 256
#: Features whose weights are gathered together, for all questions: some MB.
_FEATURES_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Classifier:
    """Weights of a logistic regression per question.

    Attributes:
        weights: features × questions; a text's features count `1 / sqrt(n)` each, if it has n.
        intercepts: one per question.
    """

    weights: npt.NDArray[np.float32]
    intercepts: npt.NDArray[np.float32]

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Probabilities that the answers are not empty, texts × questions."""
        parts = [
            self._score(hash_texts(texts[start : start + _TEXTS_AT_ONCE]))
            for start in range(0, len(texts), _TEXTS_AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, len(self.intercepts)), np.float32), *parts])

    def _score(self, features: Features) -> npt.NDArray[np.float32]:
        sums = np.empty((len(features), len(self.intercepts)), np.float32)
        row = 0
        while row < len(features):  # as many texts as fit, one at least
            end = int(np.searchsorted(features.offsets, features.offsets[row] + _FEATURES_AT_ONCE, side="right")) - 1
            end = max(end, row + 1)
            begin = features.offsets[row]
            gathered = self.weights[features.indices[begin : features.offsets[end]]]
            sums[row:end] = np.add.reduceat(gathered, features.offsets[row:end] - begin, axis=0)
            row = end
        logits = np.clip(sums * value_of(features)[:, None] + self.intercepts, -60, 60)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def value_of(features: Features) -> npt.NDArray[np.float32]:
    """What each feature of a text counts, so that long texts have no longer vectors than short ones."""
    values: npt.NDArray[np.float32] = (1 / np.sqrt(np.diff(features.offsets))).astype(np.float32)
    return values
