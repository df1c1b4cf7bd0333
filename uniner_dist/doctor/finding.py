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
        subject: what was checked, such as `Java`.
        found: what is there, such as a version or a short sentence.
        level: its severity.
        advice: what to do; empty where nothing is to be done.
    """

    area: str
    subject: str
    found: str
    level: Level = Level.OK
    advice: str = ""


def warning(area: str, subject: str, found: str, advice: str) -> Finding:
    """Return a finding that may cause trouble.

    Args:
        area: group of the report, such as `Spark`.
        subject: what was checked, such as `Java`.
        found: what is there, such as a version or a short sentence.
        advice: what to do.
    """
    return Finding(area, subject, found, Level.WARNING, advice)


def problem(area: str, subject: str, found: str, advice: str) -> Finding:
    """Return a finding that must be fixed first.

    Args:
        area: group of the report, such as `Spark`.
        subject: what was checked, such as `Java`.
        found: what is there, such as a version or a short sentence.
        advice: what to do; empty where nothing is known to help.
    """
    return Finding(area, subject, found, Level.PROBLEM, advice)
