"""The command line's root: the Typer application that every command registers with, and news for the person at it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from uniner_dist._version import __version__
from uniner_dist.cli.command import Group
from uniner_dist.core.characters import visible
from uniner_dist.runtime.logs import configure_by_default, news

app = typer.Typer(
    name="uniner-dist",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help=(
        "Annotate Parquet corpora with open named entities: Spark makes prompts, a Ray pool of vLLM replicas of UniNER "
        "answers them, Spark publishes annotations with offsets.\n\n"
        "Begin with `uniner-dist demo`; every command's --help ends with examples. `uniner-dist --install-completion` "
        "teaches your shell the commands, their options and the keys of --set.\n\n"
        "Exit codes: 0 complete · 1 unexpected · 2 wrong options or inputs · 3 a stage failed, run again to resume · "
        "4 an invariant does not hold, nothing published · 5 too many failures, nothing published · "
        "6 another process works on this run · 7 the quality gate stopped the run, nothing published · "
        "8 a limit is reached, a higher one resumes · 9 an erasure could not reach every place · "
        "10 triage missed more than promised, nothing published · "
        "75 stopped on request, run again to resume.\n\n"
        "`-v`, `-q`, `--log-level` and `--log-format` may also be given after a command.\n\n"
        "On a new machine: `uniner-dist doctor`. Every option of the configuration: `uniner-dist config show`."
    ),
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def say(line: str, level: int = logging.INFO) -> None:
    """News for a person goes to stderr, so that stdout carries results only.

    Names and values of a corpus may be in it, which must not steer the terminal.
    """
    configure_by_default()
    news(visible(line, keep="\n"), level)
