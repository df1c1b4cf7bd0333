"""Counters and figures that a run stores for reports and for people who look at it.

Nothing in these files becomes a path or decides what is removed; keys of other releases stay as they are. What is read
and what is written have the same model, and are stored as `write_record` does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from uniner_dist.storage.control_files.forms import Count, Seconds
from uniner_dist.storage.control_files.reading import ControlFile

Share = Annotated[float, Field(ge=0, le=1)]
#: An integer in the file stays an integer.
Number = int | float


class Record(ControlFile):
    """Base of records, which keep keys that their model does not have."""

    model_config = ConfigDict(extra="allow")


class Interval(Record):
    """An estimate with its 95 % interval."""

    expected: Number
    low: Number
    high: Number


class Life(Record):
    """One replica of a start, in seconds since its history began; `end` says how it was lost, if it was."""

    number: Count
    node: str
    placed_s: Number
    ready_s: Number | None = None
    ended_s: Number | None = None
    end: str | None = None


class AttemptHistory(Record):
    """What happened over time in one start (`completions.history`).

    Attributes:
        began_at: seconds since the epoch.
        step_s: least time between two points.
        points: samples over time, see `completions.history.POINT`.
        replicas: the first replicas, in order.
        replicas_left_out: lower bound of the number of other replicas.
    """

    began_at: Seconds = 0
    step_s: Seconds = 1
    points: tuple[tuple[Number, ...], ...] = ()
    replicas: tuple[Life, ...] = ()
    replicas_left_out: Count = 0


class Attempt(Record):
    """Counters of one start of the completions stage (`completions.summary.PoolSummary` and more).

    Attributes:
        begun, ended: seconds since the epoch.
        host: name of the machine that the start ran on.
        shards: shards of the whole run; in `shards_reused` those that were committed before.
        prompts: prompts answered by this start; in `prompts_reused` those of committed shards, in `prompts_known` those
            that the store had answered.
        cached_tokens: those of `prompt_tokens` that came from the prefix cache.
        failures: kind of failure → prompts without an answer.
        work_failures: work items that failed although their engine was healthy.
        replicas: highest number of replicas that were ready at the same time.
        answering_s: the part of `wall_s` after the first replica was ready.
        replica_s: sum over all replicas of the seconds for which they were placed, loading included.
        events: (seconds since the start began, message).
    """

    begun: Seconds = 0
    ended: Seconds = 0
    host: str = ""
    shards: Count = 0
    prompts: Count = 0
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    failures: dict[str, Count] = Field(default_factory=dict)
    deaths: Count = 0
    start_failures: Count = 0
    work_failures: Count = 0
    replicas: Count = 0
    first_answer_s: Seconds | None = None
    busy_s: Seconds = 0
    wall_s: Seconds = 0
    answering_s: Seconds = 0
    engines: tuple[str, ...] = ()
    replica_s: Seconds = 0
    events: tuple[tuple[Number, str], ...] = ()
    history: AttemptHistory = AttemptHistory()
    shards_reused: Count = 0
    prompts_reused: Count = 0
    prompts_known: Count = 0
    gpu_hours: Seconds = 0


class TriagePlan(Record):
    """The state of triage for which a run was planned.

    Attributes:
        phase: "sample": the plan has passages to learn from; "calibrate": it has those with prompts that calibrate;
            "bound": it has all but what is skipped; "all": it has all.
        salt: salt of the random draw.
        learning, calibration: share of the passages that are learnt from, and share of the prompts of other passages
            that calibrate.
        cells: prompts of the run without an answer.
        expected_skipped, expected_saved: expected shares of prompts that are skipped, and of prompt tokens that are not
            computed; None before anything was learnt from the sample.
        why: why every prompt is asked; None in other phases.
    """

    phase: Literal["sample", "calibrate", "bound", "all"]
    salt: str = ""
    learning: Share = 0.0
    calibration: Share = 0.0
    cells: Count = 0
    expected_skipped: float | None = None
    expected_saved: float | None = None
    why: str | None = None


class PlannedStore(Record):
    """The store of answers as stage 1 found it: its path, and a hash of the state of its files."""

    path: str = ""
    state: str = ""


class PromptsSummary(Record):
    """Counts of stage 1.

    Attributes:
        rejects: reason → number of rows; their sum is `rejected`.
        split_documents: documents of more than one passage.
        prompts_known: prompts that the store answers.
        prompts_skipped: prompts that triage leaves out.
        whole_text_tokens: highest number of tokens of a text that is not split.
        occurrences_files, rejects_files: number of data files of these two datasets.
        erased: state of the lists of erased documents (`storage.erased.erased_state`).
    """

    rows: Count
    documents: Count
    rejected: Count = 0
    rejects: dict[str, Count]
    split_documents: Count = 0
    passages: Count
    unique_passages: Count
    prompts: Count
    prompts_known: Count
    prompts_to_ask: Count
    prompts_skipped: Count = 0
    shards: Count
    estimated_tokens: Count = 0
    store: PlannedStore = PlannedStore()
    erased: str = ""
    whole_text_tokens: Count | None = None
    triage: TriagePlan | None = None
    occurrences_files: Count | None = None
    rejects_files: Count | None = None


class AnnotationsSummary(Record):
    """Counts of stage 3.

    Attributes:
        outcomes: outcome → rows; in `by_type` the same for each entity type.
        mentions: entity type → mentions found.
        matches: how mentions were located → mentions.
        repairs: answers that had to be repaired before they could be parsed.
        failed: rows without a complete answer; in `failed_fraction` their share of all rows.
        quarantined: prompts in the quarantine.
    """

    documents: Count = 0
    types: Count = 0
    rows: Count
    outcomes: dict[str, Count] = Field(default_factory=dict)
    by_type: dict[str, dict[str, Count]] = Field(default_factory=dict)
    mentions: dict[str, Count] = Field(default_factory=dict)
    matches: dict[str, Count] = Field(default_factory=dict)
    repairs: Count = 0
    failed: Count = 0
    failed_fraction: Share = 0.0
    quarantined: Count = 0


class Progress(Record):
    """The latest state of a stage; `at` in seconds since the epoch."""

    at: Seconds
    stage: str = ""


class PoolProgress(Progress):
    """The latest state of the completions stage.

    Attributes:
        prompts, shards: numbers for the whole stage; `prompts_done` and `shards_done` include those of earlier starts.
        shards_open: shards to ask that have no completions file yet.
        prompts_per_s, tokens_per_s: rates over the last minute.
        eta_s: estimated seconds left; None where no rate is known.
        replicas: state → number of replicas.
        failures: outcome → number of prompts.
        prefix_hit_rate: share of the prompt tokens that came from the prefix cache.
        gpus: number of GPUs of a replica.
        gpu_hours, cost: sums over all starts so far; the cost is None where no price is known.
    """

    prompts: Count
    prompts_done: Count
    shards: Count | None = None
    shards_done: Count = 0
    shards_open: Count = 0
    prompts_per_s: Number = 0
    tokens_per_s: Number = 0
    eta_s: Number | None = None
    replicas: dict[str, Count] = Field(default_factory=dict)
    deaths: Count = 0
    start_failures: Count = 0
    failures: dict[str, Count] = Field(default_factory=dict)
    prefix_hit_rate: Number = 0
    gpus: Count = 1
    gpu_hours: Number | None = None
    cost: Number | None = None


class SparkProgress(Progress):
    """The latest state of a Spark stage: what its running jobs do, and the number of their tasks."""

    step: str = ""
    tasks: Count
    tasks_done: Count


class Plan(Record):
    """What a run was expected to ask and cost.

    Attributes:
        prompts_saved_by_duplicates: prompts that need not be asked because their passage equals another one.
        prompts_answered: prompts of committed shards.
        shards_to_ask: shards with at least one prompt to ask.
        sampled_passages: number of passages that `prompt_tokens` was estimated from.
        tokens_per_second: rate of one replica; `rate_from` names the source of the figure.
        whole_text_tokens: see `PromptsSummary`; in `whole_text_tokens_before` that of earlier runs.
    """

    run_id: str = ""
    documents: Count = 0
    rejects: dict[str, Count] = Field(default_factory=dict)
    passages: Count = 0
    unique_passages: Count = 0
    prompts_saved_by_duplicates: Count = 0
    prompts: Count = 0
    prompts_known: Count = 0
    prompts_to_ask: Count
    prompts_answered: Count = 0
    prompts_skipped: Count = 0
    triage: TriagePlan | None = None
    shards: Count = 0
    shards_to_ask: Count = 0
    prompt_tokens: Interval | None
    sampled_passages: Count = 0
    tokens_per_second: Number | None = None
    rate_from: str = ""
    gpu_hours: Interval | None
    money: Interval | None
    price_per_gpu_hour: Seconds | None
    whole_text_tokens: Count | None = None
    whole_text_tokens_before: Count | None = None
