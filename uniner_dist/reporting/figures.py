"""Formats the figures of a report: verdict, checks, tiles and tables of the page. Pure."""

from __future__ import annotations

import time
from calendar import timegm
from dataclasses import dataclass

from uniner_dist.reporting.progress import counted, duration, rate
from uniner_dist.storage.control_files import GoldFigures, Interval, Report

_GOOD = ("found", "none", "skipped")

#: Why rows of a corpus were rejected, for readers of the page.
REJECTED = {
    "null_id": "without an id",
    "text_too_large": "with a value above corpus.max_text_bytes",
    "blank_id": "with a blank id",
    "null_text": "without a text",
    "invalid_utf8": "with bytes that are no UTF-8",
    "blank_text": "with a blank text",
    "unfit_for_folder": "with a value that cannot name a folder",
    "erased": "erased on request",
    "duplicate_id": "with an id that an earlier row has",
}

#: A figure of the page: what it is, the figure, and more about it.
Tile = tuple[str, str, str]


def verdict(report: Report) -> tuple[str, str]:
    """Return (class, message): how the run ended.

    Args:
        report: of a published run, or of one that its gate stopped.

    Returns:
        A CSS class ("good", "fair" or "bad") and a sentence without its full stop.
    """
    if report.publication is None or report.annotations is None:
        return "bad", "Stopped by its quality gate; nothing was published"
    failed = report.annotations.failed
    if failed:
        share = report.annotations.failed_fraction
        return (
            "fair",
            f"Published; {counted(failed, 'annotation')} ({share:.2%}) without a complete answer",
        )
    skipped = report.annotations.outcomes.get("skipped", 0)
    if skipped:
        kept = report.triage.verdict.kept if report.triage and report.triage.verdict else "open"
        return (
            "good" if kept == "held" else "fair",
            f"Published; triage skipped {counted(skipped, 'annotation')}, its check: {kept}",
        )
    return "good", "Published; every annotation is complete"


def checks(report: Report) -> list[tuple[bool, str]]:
    """Return the invariants of the contract between the stages: (whether it holds, the numbers that show it).

    Args:
        report: of any run; invariants of stages that did not run are left out.
    """
    prompts, annotations, published = report.prompts, report.annotations, report.publication
    rejected = sum(prompts.rejects.values())
    found = [
        (
            prompts.documents + rejected == prompts.rows,
            f"{prompts.rows:,} rows of the corpus = {prompts.documents:,} documents + {rejected:,} rejected",
        )
    ]
    if annotations is not None:
        cells, types = prompts.documents * annotations.types, annotations.types
        counted = sum(annotations.outcomes.values())
        found += [
            (
                annotations.rows == cells,
                f"{annotations.rows:,} annotations = {prompts.documents:,} documents × {types:,} types",
            ),
            (counted == annotations.rows, f"{counted:,} outcomes, one per annotation"),
        ]
    if published is not None and annotations is not None:
        same = published.rows == annotations.rows
        found.append((same, f"{published.rows:,} annotations published"))
    return found


def rejected(report: Report) -> list[tuple[int, str]]:
    """Return (rows, why) of the corpus rows that were rejected, most frequent first.

    Args:
        report: of any run; counts by reject reason are in its summary of the prompts stage.
    """
    counts = sorted(report.prompts.rejects.items(), key=lambda pair: -pair[1])
    return [(count, REJECTED.get(reason, reason)) for reason, count in counts]


def quality_tiles(report: Report) -> list[Tile]:
    """Return quality figures, the first ones of the page.

    Args:
        report: of any run. Without annotations only gold scores and documents are shown.
    """
    prompts, annotations, found = report.prompts, report.annotations, []
    gold = gold_of(report)
    if gold is not None:
        low, high = gold.interval
        spread = f"{low:.2f} to {high:.2f} on {gold.documents:,} documents"
        found.append(("F1 on gold", f"{gold.f1:.2f}", spread))
    elif report.gate and report.gate.f1 is not None:  # as earlier releases wrote it
        found.append(("F1 on gold", f"{report.gate.f1:.2f}", f"on {report.gate.documents:,} documents"))
    dropped = counted(sum(prompts.rejects.values()), "row")
    found.append(("documents", f"{prompts.documents:,}", f"{dropped} rejected"))
    if annotations is None:
        return found
    mentions, absent = sum(annotations.mentions.values()), annotations.matches.get("absent", 0)
    found.append(("mentions", f"{mentions:,}", f"in {annotations.outcomes.get('found', 0):,} annotations"))
    found.append(("not in their text", _share(absent, mentions), f"{absent:,} mentions without offsets"))
    failed = annotations.failed
    found.append(("no complete answer", _share(failed, annotations.rows), counted(failed, "annotation")))
    return found


def gold_of(report: Report) -> GoldFigures | None:
    """Return scores on gold answers of what was published, else of what the gate annotated first; None without gold.

    Args:
        report: of any run.
    """
    if report.gate is None:
        return None
    published = report.gate.published
    return published.gold if published is not None and published.gold is not None else report.gate.gold


def work_tiles(report: Report) -> list[Tile]:
    """Return figures of work and cost.

    Args:
        report: of any run; rates are left out where this run's starts answered nothing.
    """
    prompts, done, found = report.prompts, report.completions, []
    seconds = elapsed_s(report)
    if seconds is not None:
        found.append(("elapsed", duration(seconds), "from the first start to the report"))
    asked = f"{prompts.prompts_known:,} more from the store" if prompts.prompts_known else "none known before"
    found.append(("prompts asked", f"{done.prompts:,}", asked))
    if done.prompts_per_s:
        tokens = (done.prompt_tokens + done.completion_tokens) / done.answering_seconds
        counts = ((done.replicas, "replica"), (done.starts, "start"), (done.deaths, "death"))
        found.append(("answering", duration(done.answering_seconds), ", ".join(counted(*pair) for pair in counts)))
        figure, unit = rate(done.prompts_per_s).split(" ")
        found.append((unit, figure, f"{tokens:,.0f} tokens/s while answering"))
        found.append(("prefix cache", f"{done.prefix_hit_rate or 0:.0%}", "of prompt tokens"))
    return [*found, *_cost(report)]


def elapsed_s(report: Report) -> float | None:
    """Return the seconds from the run's first start to its report; None where an earlier release recorded no start.

    Args:
        report: of any run.
    """
    begun = (report.publication and report.publication.opened_at) or report.opened_at
    if not begun:
        return None
    return max(0.0, timegm(time.strptime(report.written_at, "%Y-%m-%dT%H:%M:%SZ")) - float(begun))


def period(report: Report) -> str:
    """Return when the run was at work, such as `2026-11-30 04:10 to 04:11 UTC`; only the end if its start is not known.

    Args:
        report: of any run.
    """
    end, seconds = report.written_at, elapsed_s(report)
    if seconds is None:
        return f"{end[:10]} {end[11:16]} UTC"
    begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime(timegm(time.strptime(end, "%Y-%m-%dT%H:%M:%SZ")) - seconds))
    same_day = begun[:10] == end[:10]
    return f"{begun} to {end[11:16] if same_day else end[:10] + ' ' + end[11:16]} UTC"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _cost(report: Report) -> list[Tile]:
    """What was paid: money where a price is known, else GPU hours; nothing where no GPU was used."""
    hours, money = report.completions.gpu_hours, paid(report)
    if money is not None and hours:
        return [("cost", f"{money:,.2f}", f"{hours:,.3g} GPU hours at the given price")]
    if hours and report.gpus != 0:
        return [("GPU hours", f"{hours:,.3g}", "no price is given (plan.price_per_gpu_hour)")]
    return []


def paid(report: Report) -> float | None:
    """Return what the run cost in money; None where no price is known.

    Args:
        report: of any run; the price is `plan.price_per_gpu_hour`, which has no currency of its own.
    """
    money = (report.plan or {}).get("money")
    return None if money is None else money.actual


@dataclass(frozen=True)
class OutcomeRow:
    """An entity type: its mentions, and (outcome, annotations) in the order of the whole run."""

    label: str
    mentions: int
    counts: list[tuple[str, int]]


def outcome_rows(report: Report) -> list[OutcomeRow]:
    """Return one row for each entity type; none for a run that its gate has stopped.

    Args:
        report: of any run.
    """
    annotations = report.annotations
    if annotations is None:
        return []
    names = sorted(annotations.outcomes, key=lambda name: (name not in _GOOD, name))
    return [
        OutcomeRow(label, annotations.mentions.get(label, 0), [(name, counts.get(name, 0)) for name in names])
        for label, counts in annotations.by_type.items()
    ]


def plan_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table that compares the plan with what was needed.

    There is no cost where no GPU was used and no price is given.

    Args:
        report: of any run.

    Returns:
        (what, planned, actual, actual as a percentage of the planned), formatted; empty without a plan.
    """
    names = {"prompts": "prompts to ask", "prompt_tokens": "prompt tokens", "gpu_hours": "GPU hours", "money": "money"}
    rows, plan = [], report.plan or {}
    free = report.gpus == 0 and paid(report) is None
    for key, values in plan.items():
        planned, actual = values.planned, values.actual
        if free and key in ("gpu_hours", "money"):
            continue
        expected = planned.expected if isinstance(planned, Interval) else planned
        ratio = f"{actual / expected:.0%}" if expected and actual is not None else "–"
        rows.append((names.get(key, key), _interval(planned), _figure(actual), ratio))
    return rows


def _interval(value: Interval | float | None) -> str:
    if not isinstance(value, Interval):
        return _figure(value)
    expected, low, high = (_figure(one) for one in (value.expected, value.low, value.high))
    return expected if low == high else f"{expected} ({low} to {high})"


def _figure(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"
