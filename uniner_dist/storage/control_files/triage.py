"""What triage leaves in a run's folder: the bound that it found, and the verdict of its check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from uniner_dist.storage.control_files.forms import Count, Hash, Name
from uniner_dist.storage.control_files.reading import ControlFile

Share = Annotated[float, Field(ge=0, le=1)]


class TriageLearnt(ControlFile):
    """What the sample has taught, before anything is promised.

    Attributes:
        salt: of the draw, by which it belongs to one plan of the run.
        classifier: hash of the weights' file.
        rare: questions that were found too seldom for a bound of their own.
        caps: by question: no prompt of a higher probability will be skipped; negative where none will.
        floors: the same of prompts of passages that calibrate, so that the rest of these is asked at once.
        learning: share of the passages that was learnt from.
        learning_passages: how many those were.
        calibration: share of the prompts of other passages that calibrates; 0 where everything is to be asked.
        why: why everything is to be asked, if it is.
        sampled: cells that were asked to learn.
        sampled_filled: answers of theirs that name something.
        cells: cells of the run without an answer, the sample included.
        skipped, saved: expected shares of prompts that are skipped, and of prompt tokens that are not computed.
    """

    salt: Name
    classifier: Hash
    rare: tuple[bool, ...]
    caps: tuple[float, ...]
    floors: tuple[float, ...]
    learning: Share
    learning_passages: Count
    calibration: Share
    why: str | None = None
    sampled: Count
    sampled_filled: Count
    cells: Count
    skipped: Share
    saved: float


class TriageBound(ControlFile):
    """What may be left out, and from what that was learnt.

    Attributes:
        salt: of the draw, by which it belongs to one plan of the run.
        classifier: hash of the weights' file.
        thresholds: by question: a prompt of at most this probability is skipped; negative for a question that is asked.
        rare: questions that were found too seldom for a bound of their own.
        learning_passages: passages that the classifier has learnt from.
        calibration_cells: cells that the bound was found with.
        filled: those of them that were not empty, of questions that may be skipped.
        missed: those of these that would have been skipped.
        sampled: cells that were asked to find all this, those that were learnt from included.
        sampled_filled: answers of theirs that name something.
        check: share of the skipped cells that is asked all the same.
        cells: cells of the run without an answer, the sample included.
    """

    salt: Name
    classifier: Hash
    thresholds: tuple[float, ...]
    rare: tuple[bool, ...]
    learning_passages: Count
    calibration_cells: Count
    filled: Count
    missed: Count
    sampled: Count
    sampled_filled: Count
    check: Share
    cells: Count

    @property
    def skips(self) -> bool:
        """Whether anything may be left out."""
        return any(threshold >= 0 for threshold in self.thresholds)


class TriageVerdict(ControlFile):
    """What the check said.

    Attributes:
        salt: of the bound that it is about.
        kept: whether the promise was.
        missed, low, high: estimated share of the filled cells that is missed, and its interval.
        skipped: cells that were not asked.
        checked: cells that were asked to check.
        hits: those of them that were not empty.
        filled: cells that were asked and are not empty.
    """

    salt: Name
    kept: Literal["held", "open", "broken"]
    missed: Share
    low: Share
    high: Share
    skipped: Count
    checked: Count
    hits: Count
    filled: Count
