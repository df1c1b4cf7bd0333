"""The snippets of docs/evaluation.md do what the page says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.evaluation_data import annotation, write_annotations
from uniner_dist.cli.app import app
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.formats.conversations import read_conversations

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory where the demo has been run, with nothing found."""
    monkeypatch.chdir(tmp_path)
    gold = _ROOT / "uniner_dist" / "demo" / "gold"
    (tmp_path / "uniner_dist" / "demo").mkdir(parents=True)
    (tmp_path / "uniner_dist" / "demo" / "gold").symlink_to(gold)
    read = read_gold(str(gold), by="domain")
    assert read.groups is not None
    rows = [
        annotation(read.documents.strings[document], read.types[kind], domain=read.groups.strings[group])
        for document, kind, group in zip(
            read.document_of(read.all_pairs), read.type_of(read.all_pairs), read.group, strict=True
        )
    ]
    write_annotations(tmp_path / "demo-output", rows)
    return tmp_path


def test_the_python_snippets_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for snippet in snippets("python"):
        exec(compile(snippet, "docs/evaluation.md", "exec"), {})
    assert (folder / "scores.svg").exists()
    promised = re.search(r'print\(imported\["read"\]\)  # (.*)', _PAGE)
    assert promised is not None
    printed = capsys.readouterr().out.splitlines()
    assert ast.literal_eval(printed[-1]) == ast.literal_eval(promised.group(1))


def test_the_commands_and_their_options_exist() -> None:
    import typer

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command, rest in re.findall(r"uniner-dist (\w+)((?:[^`\n]|\\\n)*)", "".join(snippets("bash"))):
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_json_example_is_of_the_authors_form() -> None:
    [document] = read_conversations(snippets("json")[0], "CrossNER_AI")
    assert (document.doc_id, document.text, document.answers) == (
        "CrossNER_AI-0",
        "Rome is old .",
        {"location": ["Rome"]},
    )
