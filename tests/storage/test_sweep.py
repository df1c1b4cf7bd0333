"""A short sweep over the crash points of every command, and over meetings of two; `make sweep` takes all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sweep import FOLLOW_UPS, NOT_SWEPT, SWEPT, missing_commands

ROOT = Path(__file__).parents[2]


def _run(module: str, *options: str) -> list[list[str]]:
    """Rows of the table that a module prints, without its head."""
    command = [sys.executable, "-m", f"tests.support.{module}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2200, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def test_every_command_is_swept_or_changes_nothing() -> None:
    assert missing_commands() == set()
    assert not {name.split(",")[0] for name in SWEPT} & NOT_SWEPT.keys()


@pytest.mark.timeout(2400)
def test_commands_killed_anywhere_are_finished_by_whatever_follows() -> None:
    rows = _run("sweep", "--step", "180", "--rotate")
    found = {(name, storage): [int(cell) for cell in cells] for name, storage, *cells in rows}
    assert set(found) == {(name, storage) for name in SWEPT for storage in ("local", "objects")}
    for (name, storage), (points, killed, *cases, violations) in found.items():
        assert points > 0, (name, storage)
        assert violations == 0, (name, storage)
        assert sum(cases) == killed, "one follow-up each"
    totals = [sum(column) for column in zip(*found.values(), strict=True)]
    assert all(totals[2 + number] > 0 for number in range(len(FOLLOW_UPS))), totals


@pytest.mark.timeout(2400)
def test_commands_killed_before_what_others_go_by_are_finished() -> None:
    commands = ("annotate, grown corpus", "forget")
    options = ("--step", "1000", "--decisive", "--rotate", "--storages", "local")
    rows = _run("sweep", *options, "--commands", *commands)
    assert [row[0] for row in rows] == list(commands)
    assert all(int(row[3]) > 1 for row in rows), "more than the one point of the step"
    assert [row[-1] for row in rows] == ["0"] * len(commands)


@pytest.mark.timeout(2400)
def test_commands_that_meet_leave_what_one_after_the_other_would() -> None:
    for pair, storage, schedules, _, violations in _run("pairs", "--step", "480", "--drawn", "1"):
        assert int(schedules) > 0, (pair, storage)
        assert violations == "0", (pair, storage)
