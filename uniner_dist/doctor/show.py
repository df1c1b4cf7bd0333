"""The findings for a person, and for a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.text import Text

from uniner_dist.core.characters import visible
from uniner_dist.doctor.finding import Finding, Level

_MARKS: Final[Mapping[Level, tuple[str, str]]] = {
    Level.OK: ("ok      ", "green"),
    Level.WARNING: ("warning ", "yellow"),
    Level.PROBLEM: ("problem ", "bold red"),
}


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """For `--json`: how it is on the whole, and every finding."""
    return {"healthy": is_healthy(findings), "findings": [asdict(finding) for finding in findings]}


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is in the way."""
    return all(finding.level is not Level.PROBLEM for finding in findings)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """A line each, by area, with what to do below it."""
    for area, group in groupby(findings, key=lambda finding: finding.area):
        console.print(Text(area, style="bold"))
        for finding in group:
            mark, style = _MARKS[finding.level]
            line = Text.assemble("  ", (mark, style), visible(f"{finding.subject}: {finding.found}"))
            console.print(line, soft_wrap=True)
            if finding.advice:
                console.print(Text(visible(f"{' ' * 10}→ {finding.advice}")), soft_wrap=True)
    console.print(Text(_conclusion(findings), style="bold"))


def _conclusion(findings: Sequence[Finding]) -> str:
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if problems:
        return f"{problems} to mend first, {warnings} to know of"
    return f"nothing is in the way, {warnings} to know of" if warnings else "nothing is in the way"
