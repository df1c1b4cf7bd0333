"""The report of a run: inputs, results, throughput, and whether the invariants hold."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from uniner_dist import model
from uniner_dist._version import __version__
from uniner_dist.errors import QualityGateError
from uniner_dist.reporting.plan import compare
from uniner_dist.run import provenance
from uniner_dist.run.resuming import resume_command
from uniner_dist.run.run import Run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    Attempt,
    Plan,
    PromptsSummary,
    Publication,
    Report,
    ReportedGate,
    ReportedModel,
    ReportedTriage,
    Totals,
    Verdict,
    read_control,
    record_values,
    write_record,
)
from uniner_dist.storage.filesystem import exists


def build_report(
    run: Run,
    annotations: AnnotationsSummary,
    publication: Publication,
    gate: Verdict | None = None,
    triage: ReportedTriage | None = None,
) -> Report:
    """Put the stages' summaries together; those of the first two are read.

    Args:
        run: names, model and configuration go into the head of the report.
        annotations: summary of stage 3.
        publication: what the publish step added and replaced.
        gate: figures of the quality gate, None without one.
        triage: promise, plan, bound and verdict of triage, None without it.

    Returns:
        The report, which is not written yet (`write_report`).
    """
    passed = None if gate is None else _gate(record_values(gate), passed=True)
    return _report(run, annotations, publication, passed, triage)


def stopped_report(run: Run, stop: QualityGateError) -> Report:
    """Return the report of a run that its quality gate stopped: `publication` is None, and `gate` says why.

    Args:
        run: the run that was stopped; its prompts stage is done.
        stop: the gate's error, with its figures and the limits that were missed.
    """
    return _report(run, None, None, _gate(stop.figures, passed=False, problems=tuple(stop.problems)))


def _gate(figures: Mapping[str, object], passed: bool, problems: tuple[str, ...] = ()) -> ReportedGate:
    """The gate's figures, with a number instead of a long list of documents."""
    verdict = Verdict.model_validate(figures, strict=False)
    known = dict(verdict) | {"in_corpus": len(verdict.in_corpus)}
    return ReportedGate(passed=passed, problems=problems, **known)


def _report(
    run: Run,
    annotations: AnnotationsSummary | None,
    publication: Publication | None,
    gate: ReportedGate | None,
    triage: ReportedTriage | None = None,
) -> Report:
    attempts = read_starts(run.layout)
    totals = summarise_attempts(attempts)
    return Report(
        run_id=run.id,
        written_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        version=__version__,
        corpus=run.config.corpus.path,
        opened_at=run.opened_at,
        gpus=run.config.pool.gpus_per_replica,
        output=run.config.output.path,
        workdir=run.layout.root,
        command=resume_command(run),
        model=ReportedModel(
            name=run.model_name,
            identity=run.model_identity,
            fingerprint=run.fingerprint,
            licence=model.licence(run.config.model),
        ),
        provenance=provenance.describe(run),
        prompts=read_control(run.layout.prompts_summary, PromptsSummary),
        completions=totals,
        plan=compare(read_control(run.layout.plan, Plan), totals) if exists(run.layout.plan) else None,
        annotations=annotations,
        publication=publication,
        gate=gate,
        triage=triage,
        attempts=tuple(attempts),
    )


def summarise_attempts(attempts: Sequence[Attempt]) -> Totals:
    """Return totals over all starts of the completions stage; rates over the seconds since a replica was ready.

    Args:
        attempts: counters of every start, oldest first; what was kept from earlier starts is taken from the last one.
    """
    seconds = sum(attempt.answering_s for attempt in attempts)
    prompts = sum(attempt.prompts for attempt in attempts)
    prompt_tokens = sum(attempt.prompt_tokens for attempt in attempts)
    cached_tokens = sum(attempt.cached_tokens for attempt in attempts)
    return Totals(
        starts=len(attempts),
        prompts=prompts,
        seconds=round(sum(attempt.wall_s for attempt in attempts), 2),
        answering_seconds=round(seconds, 2),
        prompts_per_s=round(prompts / seconds, 1) if seconds else None,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        prefix_hit_rate=round(cached_tokens / prompt_tokens, 4) if prompt_tokens else None,
        completion_tokens=sum(attempt.completion_tokens for attempt in attempts),
        shards_kept_from_earlier_starts=attempts[-1].shards_reused if attempts else 0,
        prompts_kept_from_earlier_starts=attempts[-1].prompts_reused if attempts else 0,
        replicas=max((attempt.replicas for attempt in attempts), default=0),
        gpu_hours=round(sum(attempt.gpu_hours for attempt in attempts), 4),
        deaths=sum(attempt.deaths for attempt in attempts),
        start_failures=sum(attempt.start_failures for attempt in attempts),
    )


def write_report(run: Run, report: Report) -> None:
    """Write `report.json` and, for people, `report.html` into the run's folder.

    The rows are published by now, so a page that cannot be made is a warning.

    Args:
        run: the run that `report` is about; it names the folder.
        report: result of `build_report` or `stopped_report`.
    """
    write_record(run.layout.report, report)
    write_page_if_possible(run, report)


def write_page_if_possible(run: Run, report: Report) -> None:
    """Write `report.html`; an error only prints a warning to stderr, as nothing else depends on the page.

    Args:
        run: the run that `report` is about; it names the folder.
        report: as in `report.json`.
    """
    from uniner_dist.reporting.html import write_page

    try:
        write_page(run, report)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"report.html was not written ({reason}); `uniner-dist report` tries again", file=sys.stderr)
