"""What --help teaches is true: every command has examples, and every example is a command line that parses."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from uniner_dist.cli.app import app
from uniner_dist.cli.command import PANELS, documentation, installation
from uniner_dist.cli.examples import EXAMPLES, settings_of
from uniner_dist.cli.logging_options import command_of
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config

GROUP: Any = command_of(app)
LINES = [(name, line) for name, (_, examples) in EXAMPLES.items() for _, line in examples]


def test_every_command_has_an_example() -> None:
    assert set(GROUP.commands) == {*EXAMPLES, "config"}


@pytest.mark.parametrize(("name", "line"), LINES)
def test_examples_parse_and_stand_in_the_help_of_their_command(name: str, line: str) -> None:
    program, command, *arguments = shlex.split(line)
    assert (program, command) == ("uniner-dist", name)
    context = GROUP.commands[name].make_context(name, arguments)
    assert load_config(None, list(context.params.get("overrides") or ()), _NEEDED)
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    assert line in " ".join(shown.split())


_NEEDED = {"corpus.path": "-", "output.path": "-", "types": "person"}


def complete(words: str) -> list[str]:
    env = {"_UNINER_DIST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return CliRunner().invoke(app, [], env=env, prog_name="uniner-dist").output.split()


def test_a_shell_completes_commands_options_and_settings() -> None:
    assert complete("uniner-dist ann") == ["annotate", "annotations"]
    assert "--types" in complete("uniner-dist annotate --ty")
    assert complete("uniner-dist annotate --set pool.rep") == ["pool.replicas="]
    assert complete("uniner-dist export --format ") == ["conll", "spacy", "labelstudio", "hf", "brat", "jsonl"]


def test_the_completion_that_is_shown_works_in_bash() -> None:
    program = shlex.quote(str(Path(sys.executable).with_name("uniner-dist")))
    script = f"""source <({program} --show-completion bash)
complete -p uniner-dist
COMP_WORDS=(uniner-dist annotate --set pool.repl) COMP_CWORD=3
_uniner_dist_completion {program}
echo "${{COMPREPLY[@]}}"
"""
    found = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=1200, check=True).stdout
    assert found.splitlines() == [
        "complete -o default -F _uniner_dist_completion uniner-dist", "pool.replicas=",
    ]  # fmt: skip


def test_every_option_of_the_configuration_can_be_completed() -> None:
    keys = dict(settings_of(Config))
    assert {"corpus.path", "pool.replicas", "engine.extra", "types", "workdir"} <= set(keys)
    assert all(keys.values()), "each has its description"


ALL = [command for command in GROUP.commands.values() if not hasattr(command, "commands")]


def test_every_option_is_in_a_panel_and_says_what_its_value_is() -> None:
    for command in ALL:
        context = command.make_context(command.name, [], resilient_parsing=True)
        shown = [option for option in command.get_params(context) if not option.hidden]
        panels = list(dict.fromkeys(option.rich_help_panel for option in shown))
        assert panels == [panel for panel in (*PANELS, "Help") if panel in panels], command.name
        for option in shown:
            assert bool(option.metavar) != option.is_flag, (command.name, option.opts)
            assert "Default" not in (option.help or "")


def test_help_says_where_the_documentation_is(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert documentation() == docs.as_uri()
    assert all(str(docs) in command.epilog for command in ALL)
    url = "Documentation, https://uniner.example/docs"
    monkeypatch.setattr("uniner_dist.cli.command.installation", lambda: ([url], []))
    assert documentation() == "https://uniner.example/docs"


def test_documentation_is_installed_where_there_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "lib/python3.11/site-packages/uniner_dist-1.0.dist-info"
    pages = tmp_path / "share/doc/uniner-dist"
    for folder in (about, pages):
        folder.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: uniner-dist\nVersion: 1.0\n")
    (about / "RECORD").write_text("../../../share/doc/uniner-dist/tutorial.md,,\n")
    (pages / "tutorial.md").write_text("# Tutorial\n")
    monkeypatch.setattr("uniner_dist.cli.command.distribution", lambda name: PathDistribution(about))
    assert installation() == ([], [pages / "tutorial.md"])
    monkeypatch.setattr("uniner_dist.cli.command._PAGE", "no such page")
    assert documentation() is None


@pytest.mark.parametrize(
    ("command", "typed", "read"),
    [
        ("export", ["--annotations", "a", "--to", "b", "--format=hf"], {"annotations": "a", "output": "b"}),
        ("export", ["--annotations", "a", "--to=b", "--format=hf"], {"annotations": "a", "output": "b"}),
        ("provenance", ["--output", "a"], {"annotations": "a"}),
        ("diff", ["--before", "a", "--after", "b", "--json"], {"before": "a", "json": "-"}),
        ("diff", ["--before", "a", "--json", "--after", "b"], {"after": "b", "json": "-"}),
        ("diff", ["--before", "a", "--json", "-", "--after", "b"], {"after": "b", "json": "-"}),
        ("evaluate", ["--json", "scores.json", "--gold", "g", "--annotations", "a"], {"json": "scores.json"}),
        ("plan", ["--corpus", "c", "--json"], {"corpus": "c", "json": "-"}),
        ("status", ["--workdir", "w", "--json"], {"workdir": "w", "json": True}),
    ],
)
def test_old_spellings_and_json_without_a_file_are_read(command: str, typed: list[str], read: dict[str, Any]) -> None:
    given = GROUP.commands[command].make_context(command, typed).params
    assert {name: given[name] for name in read} == read
