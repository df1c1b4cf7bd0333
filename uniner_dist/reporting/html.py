"""Renders the report page from the report's values and the evidence, by a template that escapes everything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from uniner_dist.core.characters import visible
from uniner_dist.reporting import charts
from uniner_dist.reporting.earlier import compare_reports, last_report
from uniner_dist.reporting.evidence import Evidence, gather
from uniner_dist.reporting.figures import (
    checks,
    outcome_rows,
    period,
    plan_rows,
    quality_tiles,
    rejected,
    verdict,
    work_tiles,
)
from uniner_dist.reporting.highlight import STYLE, hues_of, legend_html, text_html
from uniner_dist.reporting.next_steps import next_steps
from uniner_dist.reporting.progress import duration
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Report, record_values
from uniner_dist.storage.filesystem import write_bytes

_SHOWN_CHARS = 420
#: Something that is repeated at least six times, and characters of an answer in which that is looked for.
_REPEATED, _LOOKED_AT = re.compile(r"(\S.{1,40}?)\1{5,}", re.DOTALL), 2000
#: Starts of the completions stage whose events are listed, and events of each.
_STARTS, _EVENTS = 5, 40


def write_page(run: Run, report: Report) -> str:
    """Write `report.html` into the run's folder.

    Args:
        run: the run that `report` is about; a sample of what it wrote is read.
        report: as in `report.json`, of this version or an earlier one.

    Returns:
        Path or URL of the page.
    """
    page = render(report, gather(run), last_report(run))
    write_bytes(run.layout.report_page, page.encode())
    return run.layout.report_page


def render(report: Report, evidence: Evidence, last: Report | None = None) -> str:
    """Return the page as HTML.

    Args:
        report: as in `report.json`, of this version or an earlier one.
        evidence: examples, counts and low scores that were read from the output.
        last: report of the run that was published to the output before this one; None leaves the comparison out.
    """
    labels = list((report.annotations.by_type if report.annotations else None) or report.provenance.asks)
    hues = hues_of([*labels, *(e.label for document in evidence.examples for e in document.entities)])
    line, outcomes = charts.timeline(report.attempts), outcome_rows(report)
    page: str = _template().render(
        report=report,
        provenance=_provenance(report),
        evidence=evidence,
        checks=checks(report),
        verdict=verdict(report),
        outcomes=outcomes,
        outcome_columns=[(name, "n") for name, _ in outcomes[0].counts] if outcomes else [],
        plan=plan_rows(report),
        quality=quality_tiles(report),
        work=work_tiles(report),
        rejected=rejected(report),
        period=period(report),
        steps=next_steps(report),
        last=last,
        compared=compare_reports(report, last) if last is not None else [],
        line=line,
        attempts=list(enumerate(report.attempts, 1))[-_STARTS:],
        events_shown=_EVENTS,
        charts=charts,
        hues=hues,
        style=Markup(STYLE),
        legend=Markup(legend_html({label: hues[label] for label in labels})),
        examples=[(d.title, Markup(text_html(d.text, d.entities, hues, _SHOWN_CHARS))) for d in evidence.examples],
    )
    return page


def _provenance(report: Report) -> dict[str, object]:
    """The provenance of the answers, without the questions and without a corpus version where there is none."""
    values = record_values(report.provenance)
    return {name: value for name, value in values.items() if name != "asks" and value is not None}


def _shown(value: Any, limit: int = 0) -> str:
    """Foreign text for the page: nothing invisible that reorders or hides what follows; cut when it is long."""
    text = visible(str(value), keep="\n\t\u200d\u200c\ufe0f")
    return text if not limit or len(text) <= limit else f"{text[:limit]}…"


def _few_lines(value: Any, lines: int = 3, limit: int = 150) -> str:
    """`_shown`, with a limited number of lines even on narrow screens; repeats are shown once, with their count."""
    text = _REPEATED.sub(lambda found: f"{found[1]} ×{len(found[0]) // len(found[1])} ", _shown(value, _LOOKED_AT))
    cut = "\n".join(text.split("\n")[:lines])[:limit]
    return cut if cut == text else f"{cut}…"


def _name(path: str) -> str:
    """The last part of a path, which serves as a dataset's name."""
    return path.rstrip("/").rpartition("/")[2] or path


def _bars(pairs: Sequence[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """(name, count, percent of the largest)."""
    top = max((count for _, count in pairs), default=1)
    return [(name, count, 100 * count / top) for name, count in pairs]


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": _shown,
        "few_lines": _few_lines,
        "name": _name,
        "bars": _bars,
        "duration": duration,
    }
    return environment.get_template("report.html.jinja")
