"""The commands around the main job: errors, resume, fencing, stages alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import (
    DOCUMENTS,
    ROOT,
    SCRIPTED,
    annotate,
    call,
    read_rows,
    run,
    start,
    uniner_dist,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def undisturbed(spark: Any, ray: Any, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    call(annotate(corpus, output, *SCRIPTED))
    return output


def report(output: Path) -> dict:
    [path] = Path(f"{output}.work/runs").glob("*/report.json")
    return json.loads(path.read_text())


def committed_shards(output: Path) -> int:
    return len(list(Path(f"{output}.work").glob("runs/*/completions/*.parquet")))


def accounted_starts(output: Path) -> int:
    return len(list(Path(f"{output}.work").glob("runs/*/attempts/*.json")))


def wait_for(process: subprocess.Popen[str], counted: Callable[[Path], int], output: Path, count: int) -> None:
    deadline = time.monotonic() + 1200
    while time.monotonic() < deadline:
        if counted(output) >= count:
            return
        if process.poll() is not None:
            raise AssertionError(f"left early:\n{process.communicate()[0][-3000:]}")
        time.sleep(0.05)
    raise AssertionError(f"{counted.__name__} did not come to {count} in time")


def test_wrong_options_are_all_named_within_seconds_and_nothing_is_started(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious.txt").write_text("mine")
    command = annotate(corpus, tmp_path / "out", "--text-column", "txet", "--id-column", "id", "--model", "/no/model")
    output = run(command, code=2)
    assert "--text-column txet: the corpus has no such column; did you mean 'text'?" in output
    assert "--id-column id: the corpus has no such column" in output
    assert "already holds something else (precious.txt" in output
    assert "model /no/model: no config.json there" in output
    assert "Traceback" not in output
    assert not Path(f"{tmp_path}/out.work").exists()


def test_a_missing_option_is_named_with_an_example() -> None:
    output = run(uniner_dist("annotate", "--set", "pool.replica=2"), code=2)
    assert "corpus: is required (--corpus …)" in output
    assert "pool.replica: unknown option; did you mean 'replicas'?" in output


def test_a_finished_run_started_again_says_so_and_changes_nothing(corpus: Path, undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")}
    output = run(annotate(corpus, undisturbed, *SCRIPTED))
    assert "is finished" in output
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")} == before
    assert len(read_rows(undisturbed)) == DOCUMENTS * 2


def readme_commands(first: str, replace: dict[str, str]) -> list[list[str]]:
    """The commands of the README's block that begins with `first`, with its placeholders filled in."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [block] = [block for block in blocks if block.startswith(first)]
    commands = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]
    filled = [[replace.get(word, word) for word in command] for command in commands]
    return [uniner_dist(*command[1:]) for command in filled]


def test_the_readmes_stages_alone_give_the_same_rows(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    output, work = tmp_path / "out", str(tmp_path / "work")
    places = {"CORPUS": str(corpus), "OUTPUT": str(output), "WORK": work}
    prompts, completions, annotations, status = readme_commands("uniner-dist prompts", places)
    run_id = call([*prompts, *SCRIPTED]).strip().splitlines()[-1]
    assert re.fullmatch(r"[0-9a-f]{12}", run_id)
    assert "completions" in call(status)
    run(completions)
    call([*annotations, "--run", run_id])
    assert "published" in call(status)
    assert read_rows(output) == read_rows(undisturbed)


def test_killed_outright_and_started_again_gives_the_same_rows(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = annotate(corpus, output, *SCRIPTED, "--set", "engine.extra.slow_s=0.05")
    process = start(command)
    wait_for(process, committed_shards, output, 2)
    family = psutil.Process(process.pid).children(recursive=True)
    assert {"java", "raylet"} <= {member.name() for member in family}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=1200)
    assert [member.name() for member in alive] == [], "nothing of a killed command stays behind"
    assert not output.exists(), "nothing is visible before it is published"
    call(annotate(corpus, output, *SCRIPTED))
    assert read_rows(output) == read_rows(undisturbed)
    assert report(output)["completions"]["shards_kept_from_earlier_starts"] >= 2


@pytest.mark.slow
def test_of_two_starts_one_works_and_one_that_stood_still_cannot_come_back(
    corpus: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """The first start is frozen until its heart counts as stopped, a second takes over, then the first wakes up."""
    output = tmp_path / "out"
    command = annotate(corpus, output, *SCRIPTED, "--set", "engine.extra.slow_s=0.1")
    first = start(command)
    wait_for(first, committed_shards, output, 1)
    refused = run(command, code=6)
    assert f"process {first.pid} on" in refused

    os.kill(first.pid, signal.SIGSTOP)
    # Instead of a minute in which its beat does not change.
    [claim] = Path(f"{output}.work").glob("runs/*/holders/000001.json")
    claim.with_name("000001.end.json").write_text("{}")
    second = start(command)
    wait_for(second, accounted_starts, output, 2)  # the replicas of the frozen one still commit what they had in hand
    wait_for(second, committed_shards, output, committed_shards(output) + 1)
    os.kill(first.pid, signal.SIGCONT)
    words, _ = first.communicate(timeout=1200)
    assert first.returncode == 6, words
    assert f"was taken over by process {second.pid} on" in words

    os.kill(second.pid, signal.SIGTERM)
    words, _ = second.communicate(timeout=1200)
    assert second.returncode == 75, words
    assert "the same command resumes" in words
    call(annotate(corpus, output, *SCRIPTED))
    assert read_rows(output) == read_rows(undisturbed)
    assert report(output)["completions"]["starts"] == 3
