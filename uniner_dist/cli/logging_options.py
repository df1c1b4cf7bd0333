"""Options for the log on standard error; they may be given before the command or after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from uniner_dist.cli.command import without_kinds
from uniner_dist.runtime.logs import Form, Level, configure

_PANEL: Final = "Logs"


def command_of(app: typer.Typer) -> Any:
    """The application with these options on its root, where help shows them, and on each of its commands, hidden."""
    root: Any = typer.main.get_command(app)
    root.params.extend(_parameters(hidden=False))
    hidden = _parameters(hidden=True)
    for command in _all_of(root):
        command.params.extend(hidden)
        without_kinds(command.params)
    without_kinds(root.params)
    return root


def _all_of(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield command
        if hasattr(command, "commands"):
            yield from _all_of(command)


def _settle(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Remember what is given, the option nearest to the command last, and decide what is shown."""
    given: dict[str, Any] = context.find_root().ensure_object(dict)
    if value:
        given[str(parameter.name)] = value
    level: Level = "debug" if given.get("verbose") else "warning" if given.get("quiet") else "info"
    configure(given.get("log_level") or level, given.get("log_format") or "text")
    return value


def _option(help_: str, *names: str) -> Any:
    return typer.Option(*names, help=help_, callback=_settle, expose_value=False, rich_help_panel=_PANEL)


def _options(
    verbose: Annotated[bool, _option("Say every step.", "-v", "--verbose")] = False,
    quiet: Annotated[bool, _option("Warnings and errors only.", "-q", "--quiet")] = False,
    log_level: Annotated[Level | None, _option(r"Least level that is shown. \[default: info]", "--log-level")] = None,
    log_format: Annotated[
        Form | None, _option(r"json: one object a line, for machines. \[default: text]", "--log-format")
    ] = None,
) -> None:
    """The signature of a command that is never called."""


def _parameters(hidden: bool) -> list[Any]:
    """The options as Typer makes them."""
    holder = typer.Typer(add_completion=False)
    holder.command(add_help_option=False)(_options)
    made: Any = typer.main.get_command(holder)
    for parameter in made.params:
        parameter.hidden = hidden
    return list(made.params)
