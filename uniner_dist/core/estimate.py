"""Rough sizes of passages in tokens, and totals estimated from a sample whose rough sizes are known. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Bytes per token of ordinary text in Llama's vocabulary.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Estimate:
    """An estimated total and the ends of its 95 % interval; all three are equal without sampling."""

    expected: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """Return the same estimate in another unit.

        Args:
            factor: new units per old unit, such as GPU hours per token; not negative.
        """
        return Estimate(self.expected * factor, self.low * factor, self.high * factor)


def passage_tokens(
    text_bytes: npt.NDArray[np.int64],
    asked: npt.NDArray[np.bool_],
    frame_tokens: int,
    ask_tokens: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return the rough number of prompt tokens of each passage: its prefix once, and each question that is asked.

    0 for a passage that is asked nothing. Shape: (passages,).

    Args:
        text_bytes: length of each passage's text in bytes of UTF-8; shape: (passages,).
        asked: whether each question is asked of each passage; shape: (passages, questions).
        frame_tokens: tokens of the prefix without the text (`PromptTokenizer.prefix_overhead`).
        ask_tokens: tokens of each question's suffix, the `</s>` included; shape: (questions,).
    """
    prefixes = -(-text_bytes // BYTES_PER_TOKEN) + frame_tokens
    tokens: npt.NDArray[np.int64] = np.where(asked.any(axis=1), prefixes + asked @ ask_tokens, 0)
    return tokens


def estimate_total(
    exact: npt.NDArray[np.int64], rough: npt.NDArray[np.int64], units: int, rough_total: int
) -> Estimate:
    """Compute the ratio estimate of a total from a sample, with the normal 95 % interval.

    Source: Cochran, Sampling Techniques, 3rd ed., ch. 6.

    Args:
        exact: what is to be summed, for each unit of a simple random sample; shape: (sampled,).
        rough: a rough size of each unit of the sample; not negative, and their sum is above 0; shape: (sampled,).
        units: how many units there are, those of the sample included.
        rough_total: the rough sizes of all units, summed.

    Returns:
        The total in the unit of `exact`; exact if the sample holds all units, and zero for an empty sample.
    """
    sampled = len(exact)
    if not sampled:
        return Estimate(0.0, 0.0, 0.0)
    total = float(exact.sum())
    if sampled >= units:
        return Estimate(total, total, total)
    ratio = total / float(rough.sum())
    residuals = exact - ratio * rough
    variance = float(residuals @ residuals) / max(sampled - 1, 1)
    error = 1.96 * units * float(np.sqrt((1 - sampled / units) / sampled * variance))
    expected = ratio * rough_total
    return Estimate(expected, max(expected - error, 0.0), expected + error)
