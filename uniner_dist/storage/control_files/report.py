"""The report of a run: `report.json`, of this release and of earlier ones, which left out what has a default here."""

from __future__ import annotations

from pydantic import Field

from uniner_dist.storage.control_files.forms import Count, Seconds
from uniner_dist.storage.control_files.gate_figures import Drift, PublishedFigures, SliceFigures
from uniner_dist.storage.control_files.publication import Provenance
from uniner_dist.storage.control_files.records import (
    AnnotationsSummary,
    Attempt,
    Interval,
    Number,
    PromptsSummary,
    Record,
    Share,
    TriagePlan,
)
from uniner_dist.storage.control_files.triage import TriageBound, TriageLearnt, TriageVerdict


class ReportedModel(Record):
    """The model that answered."""

    name: str = "unknown"
    identity: str = "unknown"
    fingerprint: str = "unknown"
    licence: str = ""


class Totals(Record):
    """Sums over all starts of the completions stage.

    Attributes:
        seconds: time at work; in `answering_seconds` the part after a replica was ready, which rates are computed from.
        prefix_hit_rate: share of the prompt tokens that came from the prefix cache.
    """

    starts: Count = 0
    prompts: Count = 0
    seconds: Number = 0
    answering_seconds: Number = 0
    prompts_per_s: Number | None = None
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    prefix_hit_rate: Share | None = None
    completion_tokens: Count = 0
    shards_kept_from_earlier_starts: Count = 0
    prompts_kept_from_earlier_starts: Count = 0
    replicas: Count = 0
    gpu_hours: Number = 0
    deaths: Count = 0
    start_failures: Count = 0


class Compared(Record):
    """A figure of the plan and its actual value; None where it is not known."""

    planned: Interval | Number | None = None
    actual: Number | None = None


class Publication(Record):
    """What the publish step did; see `PublishedRun` for its further keys.

    Attributes:
        opened_at: seconds since the epoch.
        card: path of the dataset card.
    """

    corpus: str | None = None
    opened_at: Seconds | None = None
    rows: Count = 0
    card: str | None = None


class ReportedGate(Record):
    """Figures of a quality gate (`GateFigures`), and whether it was passed.

    Attributes:
        problems: why it was not passed.
        in_corpus: number of its documents that are in the corpus.
        f1, documents: scores on gold of an earlier release's gate.
    """

    passed: bool = True
    problems: tuple[str, ...] = ()
    at: str | None = None
    run_id: str | None = None
    gold: SliceFigures | None = None
    drift: Drift | None = None
    sample: Count = 0
    in_corpus: Count = 0
    published: PublishedFigures | None = None
    f1: Share | None = None
    documents: Count = 0


class TriagePromise(Record):
    """The part of the section `triage` of the configuration that the report shows."""

    max_missed: Share | None = None


class ReportedTriage(Record):
    """What triage promised, planned, learnt and found; `left_out` says whether any prompt is still skipped."""

    promise: TriagePromise = TriagePromise()
    plan: TriagePlan
    left_out: bool | None = None
    learnt: TriageLearnt | None = None
    bound: TriageBound | None = None
    verdict: TriageVerdict | None = None


class Report(Record):
    """The report of a run.

    Attributes:
        written_at: UTC.
        opened_at: when the run began, seconds since the epoch.
        gpus: number of GPUs of a replica; 0 where none was used.
        command: command line that resumes the run, or does it again.
        plan: figure → planned and actual; None without a plan.
        annotations, publication: None for a run that its gate has stopped.
        attempts: every start of the completions stage, oldest first.
    """

    run_id: str = ""
    written_at: str
    version: str = "unknown"
    corpus: str | None = None
    opened_at: Seconds | None = None
    gpus: Count | None = None
    output: str = ""
    workdir: str = ""
    command: str | None = None
    model: ReportedModel = ReportedModel()
    provenance: Provenance = Provenance()
    prompts: PromptsSummary
    completions: Totals
    plan: dict[str, Compared] | None = None
    annotations: AnnotationsSummary | None
    publication: Publication | None
    gate: ReportedGate | None = None
    triage: ReportedTriage | None = None
    attempts: tuple[Attempt, ...] = Field(default=())
