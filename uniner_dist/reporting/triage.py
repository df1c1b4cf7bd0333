"""Messages about what triage does and has found. Pure."""

from __future__ import annotations

from uniner_dist.storage.control_files import (
    Plan,
    PromptsSummary,
    Report,
    TriageBound,
    TriageLearnt,
    TriagePlan,
    TriageVerdict,
)


def format_plan(plan: TriagePlan, counts: PromptsSummary | Plan) -> str:
    """Return a phrase on the phase of triage that a plan is for.

    Args:
        plan: that of a run with triage.
        counts: of the same plan: prompts that are asked, and those that are skipped.
    """
    asked, skipped, cells = counts.prompts_to_ask, counts.prompts_skipped, max(plan.cells, 1)
    if plan.phase == "sample":
        return f"a sample of {asked:,} of {cells:,} prompts ({asked / cells:.1%}) is asked first, to learn what to skip"
    if plan.phase == "calibrate":
        return (
            f"{asked:,} of {cells:,} prompts ({asked / cells:.1%}) are asked next, to bound what is missed; "
            f"{_expected(plan)}"
        )
    if plan.phase == "bound":
        return (
            f"{skipped:,} of {cells:,} prompts ({skipped / cells:.1%}) are skipped, {asked:,} are asked now; "
            f"{_expected(plan)}"
        )
    return f"everything is asked: {plan.why or 'nothing may be skipped'}"


def _expected(plan: TriagePlan) -> str:
    """What the sample predicts for the whole run."""
    prompts, tokens = plan.expected_skipped or 0.0, plan.expected_saved or 0.0
    return f"expected of the run: {prompts:.1%} of the prompts skipped, {tokens:.1%} of the prompt tokens saved"


def format_learnt(learnt: TriageLearnt) -> str:
    """Return a line on what was learnt from the sample.

    Args:
        learnt: record of the learning step, which is written before anything is promised.
    """
    allowed = sum(cap >= 0 for cap in learnt.caps)
    return (
        f"triage: learnt from {learnt.learning_passages:,} passages; {allowed:,} of {len(learnt.caps):,} questions may "
        f"be skipped, {learnt.skipped:.1%} of the prompts and {learnt.saved:.1%} of the prompt tokens by expectation"
    )


def format_bound(bound: TriageBound) -> str:
    """Return a line on what the calibration found.

    Args:
        bound: the thresholds that were found and the counts that they are based on.
    """
    allowed = sum(threshold >= 0 for threshold in bound.thresholds)
    return (
        f"triage: of {bound.filled:,} calibration prompts that name something {bound.missed:,} would be missed; "
        f"{allowed:,} of {len(bound.thresholds):,} questions are skipped"
    )


def format_verdict(verdict: TriageVerdict, bound: float) -> str:
    """Return a phrase on the result of the check.

    Args:
        verdict: result of the check: estimated missed share, its interval, and counts.
        bound: the share of filled cells that was promised to be missed at most, in [0, 1].
    """
    found = {"held": "was kept", "open": "was neither confirmed nor refuted", "broken": "was broken"}[verdict.kept]
    return (
        f"the promise to miss at most {bound:.2%} {found}: {verdict.hits:,} of {verdict.checked:,} checked "
        f"prompts name something, so {verdict.missed:.2%} were missed ({verdict.low:.2%} to "
        f"{verdict.high:.2%}); {verdict.skipped:,} prompts were skipped"
    )


def format_least_cost(verdict: TriageVerdict, bound: float, cells: int) -> str:
    """Return what was asked, and the least that any classifier has to ask: all non-empty cells but those it may miss.

    Args:
        verdict: result of the check: `filled` and `skipped` cells, and the `missed` share.
        bound: share of filled cells that may be missed at most.
        cells: prompts of the run without an answer before it.
    """
    filled = verdict.filled / max(1 - verdict.missed, 1e-9)
    return (
        f"{cells - verdict.skipped:,} of {cells:,} prompts were asked; within that bound no classifier could ask "
        f"fewer than {round(filled * (1 - bound)):,}, all that name something but what may be missed"
    )


def format_report(report: Report) -> list[str]:
    """Return the lines about triage for a report; none without it.

    Args:
        report: of any run.
    """
    triage = report.triage
    if triage is None:
        return []
    lines, bound = [format_plan(triage.plan, report.prompts)], triage.promise.max_missed or 0.0
    if triage.verdict is not None:
        lines.append(format_verdict(triage.verdict, bound))
        lines.append(format_least_cost(triage.verdict, bound, triage.plan.cells))
    if triage.left_out is False and report.prompts.prompts_skipped:
        lines.append("all that was skipped has been asked since: nothing is left out any more")
    return lines
