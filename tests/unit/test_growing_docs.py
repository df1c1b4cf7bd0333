"""docs/growing.md names commands and options that exist, and its example of a gate is a valid one."""

from __future__ import annotations

import re
from pathlib import Path

import typer
import yaml

from uniner_dist.cli.app import app
from uniner_dist.config.schema import GateConfig

_PAGE = (Path(__file__).parents[2] / "docs" / "growing.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


def test_the_commands_and_their_options_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = re.findall(r"uniner-dist (\w+)((?:[^`\n#]|\\\n)*)", "".join(snippets("bash")))
    assert {command for command, _ in found} >= {"diff", "provenance"}
    for command, rest in found:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_gate_s_example_is_valid() -> None:
    [example] = snippets("yaml")
    gate = GateConfig(**yaml.safe_load(example)["gate"])
    assert gate.gold
    assert gate.sample
