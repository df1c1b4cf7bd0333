"""Which prompts of a passage a plan asks: all without an answer, those of triage's sample, or all but the skipped.

Enters: passages of a bucket and what the store lacks of them, inside of a Spark task. Leaves: masks, passages ×
questions. Everything is decided by the salt of the draw and the pinned classifier, so that every attempt of a task
decides alike.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """What becomes of the prompts of some passages; masks are passages × questions.

    Attributes:
        asked: are to be answered.
        scores: of each skipped or checked one, the probability that its answer names something; NaN elsewhere.
        checked: those of the asked ones that would be skipped but for the check.
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
            passages: columns `passage_id` and `text`.
            missing: passages × questions, what the store has no answer for.
        """


class Everything:
    """All prompts without an answer."""

    is_partial = False

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        return Selected(missing, _no_scores(missing), np.zeros_like(missing))


@dataclass(frozen=True)
class SampleOnly:
    """Of some passages all prompts, to learn; of the others single ones, to calibrate.

    Args:
        draw: of this plan.
        asks: the questions.
        learning: share of the passages.
        calibration: share of the prompts of the others.
    """

    draw: Draw
    asks: tuple[str, ...]
    learning: float
    calibration: float
    is_partial: bool = True

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        ids = passages["passage_id"].to_pylist()
        learning = self.draw.passages(ids, LEARN, self.learning)[:, None]
        asked = missing & (learning | self.draw.cells(ids, self.asks, CALIBRATE, self.calibration))
        return Selected(asked, _no_scores(missing), np.zeros_like(missing))


@dataclass(frozen=True)
class AllButSkipped:
    """All but what a classifier holds for empty, of which a share is asked all the same.

    Args:
        draw: of this plan.
        asks: the questions.
        classifier: gives the classifier (a Spark broadcast's value).
        thresholds: by question: the highest probability of a skipped prompt.
        check: share of the skipped prompts that is asked.
    """

    draw: Draw
    asks: tuple[str, ...]
    classifier: Callable[[], Classifier]
    thresholds: tuple[float, ...]
    check: float
    is_partial: bool = False

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        wanted = missing.any(axis=1)
        scores = _no_scores(missing)
        scores[wanted] = self.classifier().score(passages["text"].filter(pa.array(wanted)).to_pylist())
        with np.errstate(invalid="ignore"):
            skippable = missing & (scores <= np.asarray(self.thresholds))
        checked = skippable & self.draw.cells(passages["passage_id"].to_pylist(), self.asks, CHECK, self.check)
        skipped = skippable & ~checked
        return Selected(missing & ~skipped, np.where(skippable, scores, np.nan).astype(np.float32), checked)


def _no_scores(missing: Flags) -> npt.NDArray[np.float32]:
    return np.full(missing.shape, np.nan, np.float32)
