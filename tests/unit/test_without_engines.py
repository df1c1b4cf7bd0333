"""Commands that need no engine work where none is installed: neither Spark nor Ray nor vLLM and what comes with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import importlib.util, json, sys

def is_missing(name):
    return name.split(".")[0] in sys.argv[1].split(",")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if is_missing(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if is_missing(name) else found(name, package)
from uniner_dist.cli.app import main
import uniner_dist.completions.stage, uniner_dist.pipeline.stages
codes = [main(command) for command in json.loads(sys.argv[2])]
print(json.dumps(codes))
"""
_ENGINES = "pyspark,py4j,ray,vllm,torch,transformers"


def _codes(commands: list[list[str]], missing: str) -> tuple[list[int], str]:
    """Exit codes of commands that are given one after another where some packages are not, and what they said."""
    command = [sys.executable, "-c", _PROGRAM, missing, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_erasing_looking_and_evaluating_need_no_engine(tmp_path: Path) -> None:
    nowhere = ["--workdir", str(tmp_path / "nowhere")]
    commands = [["forget", *nowhere, "--id", "a"], ["prune", *nowhere], ["status", *nowhere], ["report", *nowhere]]
    codes, said = _codes(commands, _ENGINES)
    assert codes == [2, 2, 2, 2]
    assert "Traceback" not in said
    assert "is not installed" not in said


@pytest.mark.parametrize("stage", ["completions", "retry"])
def test_what_asks_the_model_needs_no_spark(stage: str, tmp_path: Path) -> None:
    codes, said = _codes([[stage, "--workdir", str(tmp_path / "nowhere")]], "pyspark,py4j")
    assert codes == [2]
    assert "there are no runs" in said
