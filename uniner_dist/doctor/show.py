"""Prints findings for people, and converts them to JSON for programs."""

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
    """Return findings as a JSON object for `--json`: `healthy`, as of `is_healthy`, and `findings`, an object each.

    Args:
        findings: result of `examine`.
    """
    return {"healthy": is_healthy(findings), "findings": [asdict(finding) for finding in findings]}


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Return whether no finding is a problem; warnings may be there.

    Args:
        findings: result of `examine`.
    """
    return all(finding.level is not Level.PROBLEM for finding in findings)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print a line for each finding, grouped by area, with its advice below it, and a conclusion.

    Args:
        findings: result of `examine`; those of one area follow each other.
        console: where to print.
    """
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
