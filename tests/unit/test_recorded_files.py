"""Files as the release before has written them: each is read, none of its values is lost, and it is shown.

`tests/support/recorded_files.json` holds what a run with a quality gate, one that its gate stopped, one with another
model, and one with triage had left when reports, plans and scores were mappings; and what `evaluate --json` and
`diff --json` printed. Paths and the name of the host are others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from uniner_dist.cli.status import _summary
from uniner_dist.comparison.figures import Comparison
from uniner_dist.comparison.show import print_comparison
from uniner_dist.evaluation import print_scores
from uniner_dist.evaluation.figures import Scores
from uniner_dist.notebook import job_results
from uniner_dist.reporting import charts
from uniner_dist.reporting.earlier import compare_reports
from uniner_dist.reporting.evidence import Evidence
from uniner_dist.reporting.html import render
from uniner_dist.reporting.progress import line
from uniner_dist.reporting.terminal import print_plan, print_report
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    Attempt,
    ControlFile,
    Plan,
    PoolProgress,
    PromptsSummary,
    Report,
    read_control,
    record_values,
    write_record,
)

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "support/recorded_files.json").read_text())
MODELS: dict[str, type[ControlFile]] = {
    "report": Report,
    "report-stopped": Report,
    "report-second": Report,
    "report-triage": Report,
    "plan": Plan,
    "plan-triage": Plan,
    "prompts-summary": PromptsSummary,
    "annotations-summary": AnnotationsSummary,
    "attempt": Attempt,
    "progress": PoolProgress,
    "scores": Scores,
    "scores-confidence": Scores,
    "comparison": Comparison,
}


def read(name: str, folder: Path) -> Any:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(RECORDED[name]), encoding="utf-8")
    return read_control(str(path), MODELS[name])


def lost(before: Any, now: Any, place: str = "") -> list[str]:
    """Places of values that are not what they were; keys may have come."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [one for key, value in before.items() for one in lost(value, now.get(key, "absent"), f"{place}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [one for i, pair in pairs for one in lost(*pair, f"{place}[{i}]")]
    return [] if (type(before), before) == (type(now), now) else [f"{place}: {before!r} is {now!r}"]


def shown(print_it: Any, *values: Any) -> str:
    console = Console(record=True, width=150, file=open("/dev/null", "w"))  # noqa: SIM115
    print_it(*values, console)
    return console.export_text()


def test_every_recorded_file_has_its_model() -> None:
    assert set(RECORDED) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_before_is_read_and_written_again_without_a_loss(name: str, tmp_path: Path) -> None:
    record = read(name, tmp_path)
    assert lost(RECORDED[name], record_values(record)) == []
    again = tmp_path / "again.json"
    write_record(str(again), record)
    assert lost(RECORDED[name], json.loads(again.read_text(encoding="utf-8"))) == []
    assert read_control(str(again), MODELS[name]) == record


def test_a_lost_value_is_found() -> None:
    """The comparison above can fail."""
    assert lost({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}) == []
    assert lost({"a": [{"b": 1}]}, {"a": [{"b": 1.0}]}) == [".a[0].b: 1 is 1.0"]
    assert lost({"a": None}, {}) == [".a: None is 'absent'"]
    assert lost([1], [1, 2]) == [": [1] is [1, 2]"]


def test_reports_of_the_release_before_are_shown(tmp_path: Path) -> None:
    first, second, triage = (read(name, tmp_path) for name in ("report", "report-second", "report-triage"))
    printed = shown(print_report, first)
    for words in ("48 prompts in 0.5 s", "quality gate: F1 0.542 on 8 gold documents", "/data/out.card/README.md"):
        assert words in " ".join(printed.split())
    page = render(second, Evidence(), first)
    for words in ("Published; 16 annotations (33.33%)", "Compared with the run that was published"):
        assert words in page
    assert ("F1 on gold", "0.54", "0.50") in compare_reports(second, first)
    assert "triage: everything is asked: 48 prompts are too few" in " ".join(shown(print_report, triage).split())
    timeline = charts.timeline(first.attempts)
    assert timeline is not None
    assert "replica 0 on node 4bbfc533: loaded in 0 s" in charts.replicas(timeline)
    assert _summary(first).startswith("2026-11-30T21:41:09Z · 48 annotations, 0 without an answer · 48 prompts asked")
    report = job_results.Report.of(first)
    assert (report.rows, report.mentions) == (48, {"person": 53, "location": 58})
    assert lost(RECORDED["report"], report.everything) == []


def test_a_stopped_report_of_the_release_before_says_why(tmp_path: Path) -> None:
    page = render(read("report-stopped", tmp_path), Evidence())
    assert "Stopped by its quality gate; nothing was published" in page
    assert "below gate.min_f1=0.999" in page


def test_plans_and_progress_of_the_release_before_are_shown(tmp_path: Path) -> None:
    printed = " ".join(shown(print_plan, read("plan", tmp_path)).split())
    assert "money, at 2.5 an hour" in printed
    assert "triage: everything is asked" in " ".join(shown(print_plan, read("plan-triage", tmp_path)).split())
    assert job_results.Plan.of(read("plan", tmp_path)).prompts == 48
    assert line(read("progress", tmp_path)).startswith("completions: 48/48 prompts (100%, 0 s left); 8 of 8 shards")


def test_scores_and_comparisons_of_the_release_before_are_shown(tmp_path: Path) -> None:
    for name in ("scores", "scores-confidence"):
        printed = shown(print_scores, read(name, tmp_path))
        assert printed == shown(print_scores, RECORDED[name]), "as a mapping they say the same"
        assert "Scores against gold: 8 documents, 16 annotations" in printed
    printed = shown(print_comparison, read("comparison", tmp_path))
    for words in ("before: /data/out4", "24 documents in both", "0.667", "found → unparseable", "Agreement by"):
        assert words in printed
