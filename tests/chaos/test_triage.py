"""The whole job with triage, killed outright in every phase and started again: the rows of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.storm import HANG_S, Start, command, read_rows
from uniner_dist.storage.control_files import PromptsSummary, read_control

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.slow]

_ON = {
    "triage.max_missed": "0.2",
    "triage.max_missed_of_type": "0.2",
    "triage.sample_fraction": "0.4",
    "triage.rare_types": "include",
}
_DOCUMENTS = 900


def _write_corpus(folder: Path) -> None:
    """Every third document names a person; some are there twice."""
    texts = [f"Paula met Erik {i} times." if i % 3 == 0 else f"it rained on day {i}." for i in range(_DOCUMENTS - 20)]
    folder.mkdir()
    ids = [f"d{number}" for number in range(_DOCUMENTS)]
    pq.write_table(pa.table({"doc_id": ids, "text": [*texts, *texts[:20]]}), folder / "part-0.parquet")


def _is_planned(start: Start) -> bool:
    return start.files("shards.parquet") > 0


def _learning(start: Start) -> bool:
    return _is_planned(start) and start.files("completions/*.parquet") > 0 and not start.files("triage/learnt.json")


def _calibrating(start: Start) -> bool:
    learnt = start.files("triage/learnt.json") > 0 and not start.files("triage/bound.json")
    return learnt and _is_planned(start) and start.files("completions/*.parquet") > 0


def _answering_the_rest(start: Start) -> bool:
    return start.files("triage/bound.json") > 0 and _is_planned(start) and start.files("completions/*.parquet") > 3


def _checking(start: Start) -> bool:
    """All is answered, and the verdict is not there yet."""
    [work] = start.folders()
    if not (work / "triage/bound.json").exists() or not _is_planned(start) or start.files("triage/verdict.json"):
        return False
    plan = read_control(str(work / "prompts.json"), PromptsSummary)
    return plan.triage is not None and plan.triage.phase == "bound" and start.files("completions/*") == plan.shards


def _publishing(start: Start) -> bool:
    return start.files("triage/verdict.json") > 0 and start.files("publishing/*") > 0


_PHASES: tuple[Callable[[Start], bool], ...] = (_learning, _calibrating, _answering_the_rest, _checking, _publishing)


def _wait(start: Start, has_come: Callable[[Start], bool]) -> None:
    """Until a moment has come; it comes before the command ends, unless the command is faster than we look."""
    deadline = time.monotonic() + HANG_S
    while not has_come(start):
        assert start.running, f"ended with {start.process.returncode} before: {start.output}"
        assert time.monotonic() < deadline, start.output
        time.sleep(0.05)


def test_a_job_with_triage_that_is_killed_in_every_phase_is_resumed(tmp_path: Path) -> None:
    _write_corpus(tmp_path / "corpus")
    output, work = tmp_path / "out", tmp_path / "out.work"
    settings = [part for key, value in _ON.items() for part in ("--set", f"{key}={value}")]
    arguments = [*command(tmp_path / "corpus", output, "person,xxx"), *settings]
    calm = Start(arguments, work, tmp_path / "calm.log")
    assert calm.process.wait() == 0, calm.output
    rows = read_rows(output)
    for folder in (output, work):  # what is drawn depends on the run's name, and that on the output's
        shutil.rmtree(folder)
    for number, phase in enumerate(_PHASES):
        start = Start(arguments, work, tmp_path / f"{number}.log")
        _wait(start, phase)
        for process in start.family():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        assert start.process.wait() == -signal.SIGKILL
        start.leave_behind()
    last = Start(arguments, work, tmp_path / "last.log")
    assert last.process.wait() == 0, last.output
    assert last.leave_behind() == []
    assert read_rows(output) == rows
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes["found"] + outcomes["none"] + outcomes["skipped"] == 2 * _DOCUMENTS
    assert outcomes["skipped"] > 0.3 * 2 * _DOCUMENTS
