"""This run compared with the one that was published to the same output before, to show unintended changes."""

from __future__ import annotations

from collections.abc import Mapping

from uniner_dist.errors import ConfigError
from uniner_dist.reporting.figures import gold_of
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import AnnotationsSummary, Report, read_control
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.marker import read_marker


def last_report(run: Run) -> Report | None:
    """Read the report of the run that was published to the same output before this one.

    Args:
        run: a published run.

    Returns:
        The report; None if this run is not published, if it is the first one, or if the run before it is of another
        workdir, was removed, or has a report that cannot be read.
    """
    marker = read_marker(run.config.output.path)
    if marker is None or run.id not in marker.runs:
        return None
    mine = marker.runs[run.id].published_at or ""
    before = [(entry.published_at or "", run_id) for run_id, entry in marker.runs.items() if run_id != run.id]
    for _, run_id in sorted((pair for pair in before if pair[0] <= mine), reverse=True)[:1]:
        layout = RunLayout(run.layout.workdir, run_id)
        try:
            return read_control(layout.report, Report) if exists(layout.report) else None
        except ConfigError:
            return None
    return None


def compare_reports(now: Report, before: Report) -> list[tuple[str, str, str]]:
    """Return (what, then, now) of what both reports state, formatted for a table.

    Args:
        now: report of this run.
        before: report of an earlier run. If either run was stopped by its gate, only documents are compared.
    """
    rows = [("documents", f"{before.prompts.documents:,}", f"{now.prompts.documents:,}")]
    then, today = before.annotations, now.annotations
    if not then or not today:
        return rows
    golds = gold_of(before), gold_of(now)
    if any(golds):
        scored = [f"{gold.f1:.2f}" if gold else "–" for gold in golds]
        rows.append(("F1 on gold", scored[0], scored[1]))
    rows.append(("no complete answer", _share(then.failed, then.rows), _share(today.failed, today.rows)))
    rows.append(("mentions not in their text", _absent(then), _absent(today)))
    for label in (name for name in today.by_type if name in then.by_type):
        rows.append((f"answers with mentions: {label}", _found(then.by_type[label]), _found(today.by_type[label])))
    return [*rows, ("model", before.model.name, now.model.name)]


def _absent(annotations: AnnotationsSummary) -> str:
    return _share(annotations.matches.get("absent", 0), sum(annotations.mentions.values()))


def _found(outcomes: Mapping[str, int]) -> str:
    return _share(outcomes.get("found", 0), sum(outcomes.values()))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
