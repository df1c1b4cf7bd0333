"""Selection of the prompts that a plan asks: all without an answer, triage's sample, or all but the skipped.

Takes, inside a Spark task, the passages of a bucket and what the store lacks of them; returns masks, passages ×
questions. Everything is decided by the salt of the draw and the pinned classifier, so that every attempt of a task
decides alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uniner_dist.triage.classifier import Classifier
from uniner_dist.triage.draw import Draw

Flags = npt.NDArray[np.bool_]

#: Purposes of draws.
LEARN, CALIBRATE, CHECK = "learn", "calibrate", "check"


@dataclass(frozen=True)
class Selected:
    """Decision about the prompts of some passages; masks are passages × questions.

    Attributes:
        asked: prompts that are to be answered.
        scores: of each skipped or checked prompt, the probability that its answer names something; NaN elsewhere.
        checked: those of the asked ones that would be skipped without the check.
    """

    asked: Flags
    scores: npt.NDArray[np.float32]
    checked: Flags


class Selection(Protocol):
    """A rule of which prompts are asked."""

    @property
    def is_partial(self) -> bool:
        """Whether passages without anything to ask are left out of the plan, which is then not the run's last one."""

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        """Decide about passages.

        Args:
            passages: columns `passage_id` and `text`, one row per distinct passage.
            missing: what the store has no answer for; shape: passages × questions.

        Returns:
            Masks of the shape of `missing`; only what is missing is asked.
        """


class Everything:
    """All prompts without an answer."""

    is_partial = False

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        """Return a decision to ask whatever is missing.

        Args:
            passages: columns `passage_id` and `text`, one row per distinct passage.
            missing: what the store has no answer for; shape: passages × questions.
        """
        return Selected(missing, _no_scores(missing), np.zeros_like(missing))


@dataclass(frozen=True)
class SampleOnly:
    """All prompts of some passages, to learn.

    Args:
        draw: random choices of this plan.
        learning: share of the passages, in [0, 1].
    """

    draw: Draw
    learning: float
    is_partial: bool = True

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        """Return a decision to ask whatever is missing of the passages that are drawn.

        Args:
            passages: columns `passage_id` and `text`, one row per distinct passage.
            missing: what the store has no answer for; shape: passages × questions.
        """
        learning = self.draw.passages(passages["passage_id"].to_pylist(), LEARN, self.learning)
        return Selected(missing & learning[:, None], _no_scores(missing), np.zeros_like(missing))


@dataclass(frozen=True)
class Calibrating:
    """Single prompts to calibrate, and what else of their passages will be asked: so their prefix is computed once.

    Args:
        draw: random choices of this plan.
        asks: the questions, in order.
        classifier: returns the classifier (a Spark broadcast's value).
        learning: share of the passages that was learnt from, which calibrate nothing.
        calibration: share of the prompts of the others.
        floors: by question: what has a higher probability will be asked, most likely, whatever the calibration says.
    """

    draw: Draw
    asks: tuple[str, ...]
    classifier: Callable[[], Classifier]
    learning: float
    calibration: float
    floors: tuple[float, ...]
    is_partial: bool = True

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        """Return a decision to ask what is drawn, and of the same passages what has a score above the floors.

        Args:
            passages: columns `passage_id` and `text`, one row per distinct passage.
            missing: what the store has no answer for; shape: passages × questions.
        """
        ids = passages["passage_id"].to_pylist()
        drawn = missing & calibrates(self.draw, ids, self.asks, self.learning, self.calibration)
        scores = _scored(self.classifier(), passages, np.asarray(drawn.any(axis=1)), missing)
        above: Flags = scores > np.asarray(self.floors)  # False where nothing is drawn: the score is NaN
        asked = drawn | (missing & above)
        return Selected(asked, _no_scores(missing), np.zeros_like(missing))


def calibrates(draw: Draw, ids: Sequence[str], asks: Sequence[str], learning: float, calibration: float) -> Flags:
    """Return which prompts calibrate: each is drawn by itself, in passages that were not learnt from.

    Args:
        draw: random choices of the plan.
        ids: passage ids, 32 hex digits each.
        asks: the questions, in order.
        learning: share of the passages that was learnt from, in [0, 1].
        calibration: share of the prompts of other passages that is drawn, in [0, 1].

    Returns:
        A mask; shape: passages × questions.
    """
    return draw.cells(ids, asks, CALIBRATE, calibration) & ~draw.passages(ids, LEARN, learning)[:, None]


@dataclass(frozen=True)
class AllButSkipped:
    """All prompts except those that a classifier predicts as empty, of which a share is asked as a check.

    Args:
        draw: random choices of this plan.
        asks: the questions, in order.
        classifier: returns the classifier (a Spark broadcast's value).
        learning: share of the passages that was learnt from, of which what failed is asked again.
        thresholds: by question: the highest probability of a skipped prompt.
        check: share of the skipped prompts that is asked.
    """

    draw: Draw
    asks: tuple[str, ...]
    classifier: Callable[[], Classifier]
    learning: float
    thresholds: tuple[float, ...]
    check: float
    is_partial: bool = False

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        """Return a decision to ask what is missing and scores above its threshold, and of the rest the drawn checks.

        Args:
            passages: columns `passage_id` and `text`, one row per distinct passage.
            missing: what the store has no answer for; shape: passages × questions.
        """
        ids = passages["passage_id"].to_pylist()
        wanted = missing.any(axis=1) & ~self.draw.passages(ids, LEARN, self.learning)
        scores = _scored(self.classifier(), passages, wanted, missing)
        skippable = missing & (scores <= np.asarray(self.thresholds))
        checked = skippable & self.draw.cells(ids, self.asks, CHECK, self.check)
        skipped = skippable & ~checked
        return Selected(missing & ~skipped, np.where(skippable, scores, np.nan).astype(np.float32), checked)


def _scored(classifier: Classifier, passages: pa.Table, wanted: Flags, missing: Flags) -> npt.NDArray[np.float32]:
    """Scores of all cells of some passages, NaN elsewhere."""
    scores = _no_scores(missing)
    scores[wanted] = classifier.score(passages["text"].filter(pa.array(wanted)).to_pylist())
    return scores


def _no_scores(missing: Flags) -> npt.NDArray[np.float32]:
    return np.full(missing.shape, np.nan, np.float32)
