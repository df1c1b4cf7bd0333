"""Estimate of the prompt tokens that skipping saves, from the learning sample. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Standard errors by which a floor is below the predicted threshold. In passages that calibrate, what is above the
#: floor is asked at once. In few runs the bound that is found is lower, and some prefixes are computed twice.
FLOOR_MARGIN = 2.0
#: Smallest saving that is worth planning the run three times, as a share of its prompt tokens.
_NOT_WORTH = 0.01

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prices:
    """Prompt tokens that are computed.

    Attributes:
        prefixes: tokens of each passage's prefix, without those that all prefixes begin with, which are computed once
            for all passages; shape: (passages,).
        asks: tokens of each question.
    """

    prefixes: npt.NDArray[np.int64]
    asks: Sequence[int]

    def computed(self, asked: Floats) -> Floats:
        """Return the expected tokens of each passage: its prefix once, if anything is asked, and each question asked.

        Args:
            asked: passages × questions, the probability that each is asked.
        """
        tokens: Floats = self.prefixes * (1 - np.prod(1 - asked, axis=1)) + asked @ np.asarray(self.asks, np.float64)
        return tokens


@dataclass(frozen=True)
class Saving:
    """Shares of a full run that are not asked: of its prompts, and of the prompt tokens that it computes."""

    prompts: float
    tokens: float


def estimate_saving(
    scores: npt.NDArray[np.float32],
    thresholds: Sequence[float],
    floors: Sequence[float],
    shares: tuple[float, float, float],
    prices: Prices,
) -> Saving:
    """Estimate what a run saves.

    A passage of the learning sample is asked in full. If any cell of another passage calibrates, the cells that
    calibrate and all above the floors are asked; later, with the prefix computed again, those of the rest that are
    drawn to check. Of all other passages, what is above the thresholds is asked, and what is drawn to check.

    Args:
        scores: passages × questions of the learning sample, by classifiers that have not seen the passage.
        thresholds: one per question, predicted by `bound.foretell`.
        floors: one per question, predicted with a margin.
        shares: of passages that are learnt from, of cells that calibrate, and of skipped cells that are checked.
        prices: tokens of each part of a prompt, for the passages of `scores`.

    Returns:
        Expected shares of the run's prompts and prompt tokens that are saved; the tokens may be below zero, as prefixes
        are computed twice. Zero for an empty sample.
    """
    if not scores.size:
        return Saving(0.0, 0.0)
    learning, calibration, check = shares
    touched = 1 - (1 - calibration) ** scores.shape[1]
    drawn = calibration / touched if touched else 0.0
    calibrating = np.where(scores <= np.asarray(floors), drawn, 1.0)
    others = np.where(scores <= np.asarray(thresholds), check, 1.0)
    full = prices.computed(np.ones(scores.shape)).sum()
    # Of a passage that calibrates something is always asked, so its prefix is computed.
    asks = np.asarray(prices.asks, np.float64)
    checked = (1 - calibrating) * check
    once = (prices.computed(np.ones(scores.shape)) - asks.sum() + calibrating @ asks + prices.computed(checked)).sum()
    rest = prices.computed(others).sum()
    weights = np.array([touched, 1 - touched]) * (1 - learning)
    prompts = weights @ np.array([1 - calibrating.mean() - checked.mean(), 1 - others.mean()])
    tokens = weights @ np.array([full - once, full - rest]) / full if full else 0.0
    return Saving(float(prompts), float(tokens))


def why_all(calibration: float, saving: Saving) -> str | None:
    """Return a message on why everything is asked; None if something is to be skipped.

    Args:
        calibration: share of the cells that would calibrate, 0 for too few.
        saving: shares of prompts and of prompt tokens, as estimated from the learning sample.
    """
    if not calibration:
        return "too few answers of the sample name something for any bound to hold"
    if saving.tokens < _NOT_WORTH:
        return f"skipping would save {max(saving.tokens, 0):.1%} of the prompt tokens only, by what the sample tells"
    return None
