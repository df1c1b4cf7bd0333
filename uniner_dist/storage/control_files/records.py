"""What a run leaves for reports and for looking at it: counters and figures.

Nothing in these files becomes a path or decides what is removed; keys of other releases stay as they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from uniner_dist.storage.control_files.forms import Count, Seconds
from uniner_dist.storage.control_files.reading import ControlFile

Share = Annotated[float, Field(ge=0, le=1)]


class Record(ControlFile):
    """Base: further keys are kept."""

    model_config = ConfigDict(extra="allow")


class Attempt(Record):
    """Counters of one start of the completions stage (`completions.state.PoolSummary` and more)."""

    begun: Seconds = 0
    ended: Seconds = 0
    prompts: Count = 0
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    shards_reused: Count = 0
    prompts_reused: Count = 0
    replicas: Count = 0
    deaths: Count = 0
    start_failures: Count = 0
    answering_s: Seconds = 0
    wall_s: Seconds = 0
    gpu_hours: Seconds = 0
    engines: tuple[str, ...] = ()


class TriagePlan(Record):
    """What of triage a plan of the run is.

    Attributes:
        phase: "sample": the plan has passages to learn from; "calibrate": it has those with prompts that calibrate;
            "bound": it has all but what is skipped; "all": it has all.
        salt: of the draw.
        learning, calibration: shares of passages that are learnt from, and of prompts of others that calibrate.
        cells: prompts of the run without an answer.
        frame_tokens, ask_tokens: of a prefix without its text, and of each question.
        expected_skipped, expected_saved: shares of prompts, and of prompt tokens that are computed; None before.
        why: why all is asked.
    """

    phase: Literal["sample", "calibrate", "bound", "all"]
    salt: str = ""
    learning: Share = 0.0
    calibration: Share = 0.0
    cells: Count = 0
    frame_tokens: Count = 0
    ask_tokens: tuple[Count, ...] = ()
    expected_skipped: float | None = None
    expected_saved: float | None = None
    why: str | None = None


class PromptsSummary(Record):
    """Counts of stage 1."""

    rows: Count
    documents: Count
    rejects: dict[str, Count]
    split_documents: Count = 0
    passages: Count
    unique_passages: Count
    prompts: Count
    prompts_known: Count
    prompts_to_ask: Count
    prompts_skipped: Count = 0
    shards: Count
    whole_text_tokens: Count | None = None
    occurrences_files: Count | None = None
    rejects_files: Count | None = None
    triage: TriagePlan | None = None


class AnnotationsSummary(Record):
    """Counts of stage 3."""

    rows: Count
    failed: Count = 0
    quarantined: Count = 0
    documents: Count = 0
    outcomes: dict[str, Count] = Field(default_factory=dict)
    by_type: dict[str, dict[str, Count]] = Field(default_factory=dict)
    mentions: dict[str, Count] = Field(default_factory=dict)


class Progress(Record):
    """The latest news of a stage."""

    at: Seconds = Field(description="seconds since the epoch")


class Totals(Record):
    """Sums over all starts of the completions stage."""

    prompts: Count = 0
    gpu_hours: Seconds = 0


class Report(Record):
    """The report of a run: `publication` is null for one that its gate has stopped."""

    written_at: str
    publication: dict[str, object] | None
    annotations: AnnotationsSummary | None
    completions: Totals


class GoldFigures(Record):
    """What a gate measured on gold answers."""

    documents: Count
    f1: Share
    interval: tuple[Share, Share]
    by_type: dict[str, Share]


class Agreement(Record):
    """How far two sets of answers agree; None where there was nothing to compare."""

    documents: Count
    agreement: Share | None
    f1: Share | None


class PublishedFigures(Record):
    """What a gate measured of the run's own answers."""

    gold: GoldFigures | None
    bulk: Agreement | None


class Verdict(Record):
    """The figures of a passed quality gate."""

    gold: GoldFigures | None
    drift: Agreement | None
    sample: Count
    in_corpus: tuple[str, ...]
    published: PublishedFigures | None = None


class Plan(Record):
    """What a run was expected to ask and cost."""

    prompts_to_ask: Count
    prompt_tokens: dict[str, Any] | None
    gpu_hours: dict[str, Any] | None
    money: dict[str, Any] | None
    price_per_gpu_hour: Seconds | None
