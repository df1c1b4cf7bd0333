"""Result of a check: one line, with advice where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding: fine, a warning, or a problem."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        area: group of the report, such as `Spark`.
        subject: what was looked at, such as `Java`.
        found: what is there, as a sentence.
        level: its severity.
        advice: what to do; empty where nothing is to be done.
    """

    area: str
    subject: str
    found: str
    level: Level = Level.OK
    advice: str = ""


def warning(area: str, subject: str, found: str, advice: str) -> Finding:
    """A finding that may cause trouble."""
    return Finding(area, subject, found, Level.WARNING, advice)


def problem(area: str, subject: str, found: str, advice: str) -> Finding:
    """A finding that must be fixed first."""
    return Finding(area, subject, found, Level.PROBLEM, advice)
