"""Control files of triage in a run's folder: what it learnt, the bound that it found, and the verdict of its check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from uniner_dist.storage.control_files.forms import Count, Hash, Name
from uniner_dist.storage.control_files.reading import ControlFile

Share = Annotated[float, Field(ge=0, le=1)]


class TriageLearnt(ControlFile):
    """What was learnt from the sample, before anything is promised.

    Attributes:
        salt: of the draw, by which it belongs to one plan of the run.
        classifier: hash of the weights' file.
        rare: by question: whether it was found too seldom for a bound of its own.
        caps: by question: no prompt of a higher probability will be skipped; negative where none will.
        floors: the same for prompts of passages that calibrate, so that the rest of these is asked at once.
        learning: share of the passages that was learnt from.
        learning_passages: number of these passages.
        calibration: share of the prompts of other passages that calibrates; 0 where everything is to be asked.
        why: why everything is to be asked; None where it is not.
        sampled: number of cells that were asked to learn.
        sampled_filled: number of these whose answer names something.
        cells: cells of the run without an answer, the sample included.
        skipped, saved: expected share of the prompts that is skipped, and of the prompt tokens that is not computed.
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
    """What may be skipped, and the counts that this was learnt from.

    Attributes:
        salt: of the draw, by which it belongs to one plan of the run.
        classifier: hash of the weights' file.
        thresholds: by question: a prompt of at most this probability is skipped; negative for a question that is asked.
        rare: by question: whether it was found too seldom for a bound of its own.
        learning_passages: number of passages that the classifier has learnt from.
        calibration_cells: number of cells that the bound was found with.
        filled: number of these that were not empty, of questions that may be skipped.
        missed: number of the filled cells that would have been skipped.
        sampled: number of cells that were asked to find all this, including those that were learnt from.
        sampled_filled: number of these whose answer names something.
        check: share of the skipped cells that is asked nevertheless, to check the bound.
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
    """Result of the check of a bound.

    Attributes:
        salt: salt of the bound that was checked.
        kept: whether the promise was kept.
        missed, low, high: estimated share of the filled cells that is missed, and its interval.
        skipped: number of cells that were not asked.
        checked: number of cells that were asked to check.
        hits: number of these that were not empty.
        filled: number of cells that were asked and are not empty.
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
