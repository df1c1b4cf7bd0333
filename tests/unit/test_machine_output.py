"""What commands print for machines: JSON on standard output and nothing else there, lines that nobody wraps."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluation_data import annotation, entity, write_annotations
from tests.support.finished_run import finished_run
from tests.support.report_page import report_values
from uniner_dist.cli.app import main
from uniner_dist.config.loading import load_config, validate_tree
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.progress import view
from uniner_dist.run.resuming import resume_command
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import SparkProgress
from uniner_dist.storage.filesystem import write_json


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path / "world", types="person,PLACE=a place; of any kind")


def test_status_tells_what_each_run_is_about_and_how_it_is_resumed(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--workdir", run.layout.workdir, "--json"]) == 0
    [facts] = json.loads(capsys.readouterr().out)
    assert facts["run"] == run.id
    assert facts["types"] == {"person": "person", "PLACE": "a place; of any kind"}
    assert (facts["corpus"], facts["output"]) == (run.config.corpus.path, run.config.output.path)
    assert facts["at_work"] is False


@pytest.mark.parametrize(
    "settings", [{}, {"model": {"max_tokens": 77}, "prompts": {"min_shards": 3}, "run": {"scores": True}}]
)
def test_the_command_that_resumes_opens_the_same_run(run: Run, settings: dict[str, dict[str, Any]]) -> None:
    tree = run.config.model_dump(mode="json")
    run = open_run(
        validate_tree({key: {**tree[key], **settings[key]} if key in settings else tree[key] for key in tree})
    )
    _, _, *arguments = shlex.split(resume_command(run))
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    overrides = [value for name, value in pairs if name == "--set"]
    assert len(overrides) == sum(len(section) for section in settings.values())
    given = {name: value for name, value in pairs if name != "--set"}
    paths = {"--corpus": "corpus.path", "--output": "output.path", "--types": "types", "--workdir": "workdir"}
    paths |= {"--id-column": "corpus.id_column", "--text-column": "corpus.text_column", "--model": "model.name"}
    assert set(given) == set(paths)
    again = open_run(load_config(None, overrides, {paths[name]: value for name, value in given.items()}))
    assert again.id == run.id


def test_a_report_is_printed_as_it_is_stored(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(run.layout.report, report_values())
    before = Path(run.layout.root, "report.html").exists()
    assert main(["report", "--workdir", run.layout.workdir, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["annotations"]["outcomes"] == report_values()["annotations"]["outcomes"]
    assert Path(run.layout.root, "report.html").exists() == before


def test_scores_go_to_standard_output_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [annotation("a", "person", [entity("Ada", 0)])]
    output = write_annotations(tmp_path / "out", rows)
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"id": "a", "text": "Ada wrote.", "label": [[0, 3, "person"]]}))
    status = main(["evaluate", "--annotations", output, "--gold", str(gold), "--json", "-"])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    assert json.loads(shown.out)


def test_lines_that_are_no_terminal_s_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    SafeConsole(file=out).print("word " * 100)
    assert out.getvalue().count("\n") == 1
    out = io.StringIO()
    state = SparkProgress(at=0.0, stage="prompts", step="survey", tasks=4, tasks_done=1)
    SafeConsole(file=out).print(view(state))
    assert max(map(len, out.getvalue().splitlines())) < 100
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    SafeConsole(file=out).print("word " * 100)
    assert out.getvalue().count("\n") > 10
