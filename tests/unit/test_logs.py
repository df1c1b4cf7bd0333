"""What commands say on standard error: the time in a log, JSON for machines, less or more of it on request."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from uniner_dist.cli.app import main
from uniner_dist.cli.root import say
from uniner_dist.runtime import logs

pytestmark = pytest.mark.usefixtures("as_before")


@pytest.fixture
def as_before() -> Iterator[None]:
    logger = logging.getLogger("uniner_dist")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_line_of_a_log_begins_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    say("3 shards \x1b[2J are open")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ 3 shards  \[2J are open\n", capsys.readouterr().err)


def test_a_terminal_is_shown_no_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say("3 shards are open")
    assert capsys.readouterr().err == "3 shards are open\n"


@pytest.mark.parametrize("arguments", [["--log-format", "json", "status"], ["status", "--log-format=json"]])
def test_json_is_one_object_a_line_wherever_the_option_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--workdir", "/nowhere\nat all"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["level"] == "error"
    assert found["message"].startswith("error: --workdir /nowhere")
    assert set(found) == {"time", "level", "logger", "message"}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["info", "warning"]),
        (["-q"], ["warning"]),
        (["-v"], ["debug", "info", "warning"]),
        (["-v", "--log-level", "error"], []),
    ],
)
def test_options_decide_what_is_shown(options: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*options, "status", "--workdir", "/nowhere"]) == 2
    error = capsys.readouterr().err
    assert error == "error: --workdir /nowhere: is not there\n", "an error is shown whatever is given"
    for level in ("debug", "info", "warning"):
        logging.getLogger("uniner_dist.spark").log(getattr(logging, level.upper()), level)
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == shown


def test_an_unknown_level_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--workdir", "x", "--log-level", "loud"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: invalid value for '--log-level': 'loud' is not one of 'debug', 'info', 'warning'")
    assert error.endswith("; see uniner-dist status -h\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["anotate"], "error: no such command 'anotate'. Did you mean 'annotate'"),
        (["annotate", "--id-colum", "x"], "error: no such option: --id-colum (Possible options: --id-column"),
        (["status"], "error: missing option '--workdir'; see uniner-dist status -h"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(words)
    assert error.count("\n") == 1


def test_a_library_that_logs_to_the_root_doubles_no_line() -> None:
    code = """
import logging
from uniner_dist.runtime import logs
logs.configure()
logging.warning("from elsewhere")
logging.info("nobody asked")
logs.news("error: ours", logging.ERROR)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=1200)
    lines = done.stderr.splitlines()
    assert [line.split(" ", 1)[-1] for line in lines] == ["from elsewhere", "ours"], lines


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("", ["ours"]),
        ("logging.getLogger('uniner_dist').setLevel('WARNING')", []),
        ("logging.basicConfig(level='INFO', format='mine: %(message)s')", ["mine: ours"]),
        ("logging.basicConfig(level='WARNING')", []),
    ],
)
def test_a_script_that_uses_the_library_keeps_its_own_logging(before: str, shown: list[str]) -> None:
    code = f"""
import logging
from uniner_dist.runtime import logs
{before}
found = [list(logging.getLogger(name).handlers) for name in ("uniner_dist", None)]
logs.news("ours")
assert found == [list(logging.getLogger(name).handlers) for name in ("uniner_dist", None)]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=1200)
    assert [re.sub(r"^\d\S+Z ", "", line) for line in done.stderr.splitlines()] == shown
