"""What a check has found: one line, with what to do where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is meant: fine, worth knowing, or in the way."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        area: group of the report, such as `Spark`.
        subject: what was looked at, such as `Java`.
        found: what is there, in words.
        level: how it is meant.
        advice: what to do; empty where nothing is to be done.
    """

    area: str
    subject: str
    found: str
    level: Level = Level.OK
    advice: str = ""


def warning(area: str, subject: str, found: str, advice: str) -> Finding:
    """Something that may get in the way."""
    return Finding(area, subject, found, Level.WARNING, advice)


def problem(area: str, subject: str, found: str, advice: str) -> Finding:
    """Something that must be mended first."""
    return Finding(area, subject, found, Level.PROBLEM, advice)
