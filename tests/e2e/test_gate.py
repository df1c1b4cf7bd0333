"""The quality gate from the command line, with a real pool: stopped, mended, passed, and a worse model turned away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import DOCUMENTS, SCRIPTED, annotate, call, read_rows, uniner_dist
from tests.support.evaluation_data import write_strings

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def _report(output: Path) -> dict[str, Any]:
    reports = sorted(Path(f"{output}.work/runs").glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    report: dict[str, Any] = json.loads(reports[-1].read_text())
    return report


def _completions(output: Path) -> list[Path]:
    return list(Path(f"{output}.work").glob("runs/*/completions/*.parquet"))


def test_the_gate_stops_a_run_before_its_bulk_and_lets_a_good_one_pass(
    spark: Any, ray: Any, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    ids = [f"news-{i}" for i in range(40, 60)]
    gold = write_strings(tmp_path / "gold", [(doc_id, "person", ["Paula"]) for doc_id in ids])
    gated = ["--set", f"gate.gold={gold}", "--set", "gate.sample=12"]
    command = annotate(corpus, output, *SCRIPTED, *gated)

    stopped = call([*command, "--set", "gate.min_f1=0.9"], code=7)
    assert "below gate.min_f1=0.9" in stopped
    assert not output.exists()
    assert not _completions(output), "nothing of the bulk was asked"
    report = _report(output)
    assert (report["gate"]["passed"], report["publication"]) == (False, None)
    assert report["gate"]["problems"]
    assert "stopped by its gate" in call(uniner_dist("status", "--workdir", f"{output}.work"))

    passed = call([*command, "--set", "gate.min_f1=0.01"])
    assert "prompts answered" in passed
    assert "gate: run" in passed
    assert "gate: completions" not in passed, "what the gate asked before is not asked again"
    assert len(read_rows(output)) == DOCUMENTS * 2
    report = _report(output)
    assert report["gate"]["passed"]
    assert report["gate"]["published"]["bulk"]["agreement"] == 1

    # Another decoding is another model; garbage instead of answers wherever a text has an "e".
    worse = ["--set", "gate.sample=12", "--set", "model.max_tokens=128", "--set", "engine.extra.garbage=e"]
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    stopped = call(annotate(corpus, output, *SCRIPTED, *worse), code=7)
    assert "agreement with the last passing run's answers on 12 documents is too low" in stopped
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
