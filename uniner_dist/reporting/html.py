"""Put the report page together: the report's values and what `evidence` read, in a template that escapes everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from uniner_dist.core.characters import visible
from uniner_dist.reporting import charts
from uniner_dist.reporting.evidence import Evidence, gather
from uniner_dist.reporting.highlight import STYLE, hues_of, legend_html, text_html
from uniner_dist.reporting.progress import duration
from uniner_dist.run.run import Run
from uniner_dist.storage.filesystem import write_bytes

_SHOWN_CHARS = 420
#: Starts of the completions stage whose events are listed, and events of each.
_STARTS, _EVENTS = 5, 40
_GOOD = ("found", "none")


def write_page(run: Run, report: Mapping[str, Any]) -> str:
    """Write `report.html` into the run's folder; returns its path."""
    page = render(report, gather(run))
    write_bytes(run.layout.report_page, page.encode())
    return run.layout.report_page


def render(report: Mapping[str, Any], evidence: Evidence) -> str:
    """The page.

    Args:
        report: as in `report.json`, of this version or an earlier one.
    """
    labels = list((report.get("annotations") or {}).get("by_type") or report["provenance"]["asks"])
    hues = hues_of([*labels, *(e["label"] for document in evidence.examples for e in document.entities)])
    line = charts.timeline(report["attempts"])
    page: str = _template().render(
        report=report,
        evidence=evidence,
        checks=checks(report),
        verdict=verdict(report),
        outcomes=outcome_rows(report),
        plan=plan_rows(report),
        tiles=tiles(report),
        line=line,
        attempts=list(enumerate(report["attempts"], 1))[-_STARTS:],
        events_shown=_EVENTS,
        charts=charts,
        hues=hues,
        style=Markup(STYLE),
        legend=Markup(legend_html({label: hues[label] for label in labels})),
        examples=[(d.title, Markup(text_html(d.text, d.entities, hues, _SHOWN_CHARS))) for d in evidence.examples],
    )
    return page


def verdict(report: Mapping[str, Any]) -> tuple[str, str]:
    """(class, words): how the run ended."""
    if report["publication"] is None:
        return "bad", "Stopped by its quality gate; nothing was published"
    failed = report["annotations"].get("failed", 0)
    if failed:
        share = report["annotations"]["failed_fraction"]
        return "fair", f"Published; {failed:,} questions ({share:.2%}) have no complete answer"
    return "good", "Published; every question has an answer"


def checks(report: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """The invariants of the contract between the stages, and the numbers that show them."""
    prompts, annotations, published = report["prompts"], report["annotations"], report["publication"]
    rejected = sum(prompts["rejects"].values())
    found = [
        (
            prompts["documents"] + rejected == prompts["rows"],
            f"{prompts['rows']:,} rows of the corpus = {prompts['documents']:,} documents + {rejected:,} rejected",
        )
    ]
    if annotations is not None:
        cells, types = prompts["documents"] * annotations["types"], annotations["types"]
        counted = sum(annotations["outcomes"].values())
        found += [
            (
                annotations["rows"] == cells,
                f"{annotations['rows']:,} annotations = {prompts['documents']:,} documents × {types:,} types",
            ),
            (counted == annotations["rows"], f"{counted:,} outcomes, one per annotation"),
        ]
    if published is not None and annotations is not None:
        same = published["rows"] == annotations["rows"]
        found.append((same, f"{published['rows']:,} annotations published"))
    return found


def tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(figure, what it is, more) for the head of the page."""
    prompts, done, annotations = report["prompts"], report["completions"], report["annotations"]
    found = [
        ("documents", f"{prompts['documents']:,}", f"{_counted(sum(prompts['rejects'].values()), 'row')} rejected")
    ]
    if annotations is not None:
        share = f"in {annotations['outcomes'].get('found', 0):,} annotations"
        found.append(("mentions", f"{sum(annotations['mentions'].values()):,}", share))
    asked = f"{prompts['prompts_known']:,} more from the store" if prompts.get("prompts_known") else "none known before"
    found.append(("prompts asked", f"{done['prompts']:,}", asked))
    if done["prompts_per_s"]:
        tokens = (done["prompt_tokens"] + done["completion_tokens"]) / done["answering_seconds"]
        found.append(("prompts/s", f"{done['prompts_per_s']:,.0f}", f"{tokens:,.0f} tokens/s"))
        found.append(("prefix cache", f"{done['prefix_hit_rate']:.0%}", "of prompt tokens"))
        work = ", ".join(_counted(done[f"{word}s"], word) for word in ("replica", "start", "death"))
        found.append(("answering", duration(done["answering_seconds"]), work))
    cost = cost_of(report)
    found.append(("cost", *cost))
    return found


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" + "s" * (count != 1)


def cost_of(report: Mapping[str, Any]) -> tuple[str, str]:
    """(figure, where it comes from)."""
    hours = report["completions"].get("gpu_hours", 0)
    money = ((report.get("plan") or {}).get("money") or {}).get("actual")
    if money is not None:
        return f"{money:,.2f}", f"{hours:,.3g} GPU hours at the given price"
    return f"{hours:,.3g} GPU h", "a CPU replica counts as one GPU" if hours else "no replica was started"


def outcome_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per type: mentions, and counts by outcome in the order of the whole run."""
    annotations = report["annotations"]
    if annotations is None:
        return []
    names = sorted(annotations["outcomes"], key=lambda name: (name not in _GOOD, name))
    return [
        {
            "label": label,
            "mentions": annotations["mentions"].get(label, 0),
            "counts": [(name, counts.get(name, 0)) for name in names],
        }
        for label, counts in annotations["by_type"].items()
    ]


def plan_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(what, planned, actual, actual as a part of the planned)."""
    names = {"prompts": "prompts to ask", "prompt_tokens": "prompt tokens", "gpu_hours": "GPU hours", "money": "money"}
    rows = []
    for key, values in (report.get("plan") or {}).items():
        planned, actual = values["planned"], values["actual"]
        expected = planned["expected"] if isinstance(planned, Mapping) else planned
        ratio = f"{actual / expected:.0%}" if expected and actual is not None else "–"
        rows.append((names.get(key, key), _interval(planned), _figure(actual), ratio))
    return rows


def _interval(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _figure(value)
    expected, low, high = (_figure(value[name]) for name in ("expected", "low", "high"))
    return expected if low == high else f"{expected} ({low} to {high})"


def _figure(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"


def _shown(value: Any, limit: int = 0) -> str:
    """Foreign text for the page: nothing invisible that reorders or hides what follows; cut when it is long."""
    text = visible(str(value), keep="\n\t\u200d\u200c\ufe0f")
    return text if not limit or len(text) <= limit else f"{text[:limit]}…"


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
    environment.filters |= {"shown": _shown, "bars": _bars, "duration": duration}
    return environment.get_template("report.html.jinja")
