"""The section about triage, which leaves out questions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from uniner_dist.config.section import Section


class TriageConfig(Section):
    """Triage: leave out questions whose answer will be the empty list, within a bound. Off without max_missed."""

    max_missed: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="of the answers that name something, the share that may be missed, with a probability of 95 %; "
        "questions that a classifier, learnt from answers of the same run, holds for empty are then not asked",
    )
    max_missed_of_type: float = Field(
        0.05, gt=0, lt=0.5, description="the same share for each type alone; a type that cannot keep it is asked"
    )
    rare_types: Literal["ask", "include"] = Field(
        "ask",
        description="types that name something too seldom for a bound of their own: ask asks them always, include "
        "leaves them out within the bound of all types together",
    )
    sample_fraction: float = Field(
        0.2, gt=0, le=0.9, description="of the questions, the most that are asked first to learn and to calibrate"
    )
    if_broken: Literal["ask", "stop"] = Field(
        "ask",
        description="what happens if the check says that more was missed: ask asks what was left out, stop publishes "
        "nothing and ends with exit code 10",
    )

    @property
    def is_on(self) -> bool:
        """Whether anything may be left out."""
        return self.max_missed is not None
