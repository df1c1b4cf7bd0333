"""The tutorial's commands, in its order, in an empty folder: they run, and print what the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BIN, ROOT
from uniner_dist.cli.logging_options import command_of
from uniner_dist.cli.root import app

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
#: Kind of block, name of the file that it is for, content.
BLOCKS = re.findall(r'```(bash|python|text)(?: title="(\S+)")?\n(.*?)```', PAGE, re.DOTALL)
COMMANDS = [line for kind, _, block in BLOCKS if kind == "bash" for line in block.splitlines()]


def test_every_command_of_the_tutorial_is_one_that_can_be_read() -> None:
    program: Any = command_of(app)
    names = [shlex.split(line)[1] for line in COMMANDS if line.startswith("uniner-dist")]
    assert {"doctor", "plan", "annotate", "status", "report"} <= set(names)
    for line in COMMANDS:
        first, name, *arguments = shlex.split(line)
        if first != "uniner-dist":
            assert (first, name) in {("python", file) for _, file, _ in BLOCKS if file}
            continue
        command = program.get_command(None, name)
        assert command.make_context(name, list(arguments)).params


@pytest.mark.e2e
@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_runs_from_top_to_bottom_and_prints_what_it_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    printed = ""
    for kind, file, block in BLOCKS:
        if kind == "python":
            (tmp_path / file).write_text(block)
        elif kind == "text":
            assert block in printed
        else:
            done = subprocess.run(
                ["bash", "-euc", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            printed = done.stdout
    assert (tmp_path / "annotations.card" / "README.md").exists()
