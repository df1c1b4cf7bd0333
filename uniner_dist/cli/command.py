"""Command classes: old spellings, `--json` without a file, options in panels, links to the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from uniner_dist.cli.examples import EXAMPLES, GROUPS
from uniner_dist.cli.typed import dash_problem, letter_problem, repeat_problem, set_problem

#: Base class of Typer's errors for a command line that it cannot parse; Typer only exports subclasses.
UsageError: Final[Any] = typer.BadParameter.__base__

#: Command → old spelling of an option → today's.
OLD_SPELLINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "export": {"--to": "--output"},
    "provenance": {"--output": "--annotations"},
}
_STDOUT: Final = "-"
#: A page that identifies the folder of the documentation.
_PAGE: Final = "tutorial.md"
#: Panels of a command's help, in order; options without a panel come last.
INPUT, OUTPUT, MODEL, LIMITS, CONFIGURATION = PANELS = ("Input", "Output", "Model", "Limits", "Configuration")


def spelled_now(command: str, arguments: Sequence[str], json_takes_a_file: bool) -> Iterator[str]:
    """The arguments of a command with today's names; `--json` without a file is standard output."""
    names = OLD_SPELLINGS.get(command, {})
    for place, argument in enumerate(arguments):
        name, sign, value = argument.partition("=")
        yield names.get(name, name) + sign + value if name in names else argument
        following = arguments[place + 1] if place + 1 < len(arguments) else "--"
        if argument == "--json" and json_takes_a_file and following.startswith("-") and following != _STDOUT:
            yield _STDOUT


def documentation() -> str | None:
    """Location of the documentation: a URL if this release names one, in the checkout, or where it was installed."""
    urls, installed = installation()
    published = dict(url.split(", ", 1) for url in urls).get("Documentation")
    pages = [Path(__file__).parents[2] / "docs" / _PAGE, *installed]
    return published or next((page.parent.as_uri() for page in pages if page.exists()), None)


def installation() -> tuple[list[str], list[Path]]:
    """URLs that the installed package names, and its copy of a page of the documentation."""
    try:
        package = distribution("uniner-dist")
    except PackageNotFoundError:
        return [], []
    pages = [file for file in package.files or () if file.match(f"share/doc/uniner-dist/{_PAGE}")]
    return package.metadata.get_all("Project-URL") or [], [Path(str(page.locate())).resolve() for page in pages]


class Command(TyperCommand):
    """Typer's command with the parsing and panels of this module."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line, with old spellings replaced; raises UsageError that says what was probably meant."""
        takes_a_file = any("--json" in option.opts and not getattr(option, "is_flag", False) for option in self.params)
        arguments = list(spelled_now(self.name or "", args, takes_a_file))
        options: list[Any] = list(self.params)
        names = [name for option in options if not option.hidden for name in option.opts]
        if ctx.resilient_parsing:
            return super().parse_args(ctx, arguments)
        problem = dash_problem(arguments, names) or _given_twice(options, arguments)
        if problem is not None:
            raise UsageError(problem, ctx)
        try:
            return super().parse_args(ctx, list(arguments))
        except UsageError as error:
            problem = problem_of(error, arguments, names)
            if problem is None:
                raise
            raise UsageError(problem, ctx) from error

    def get_params(self, ctx: Any) -> list[Any]:
        """The options in the order of their panels in `--help`."""
        return sorted(super().get_params(ctx), key=_place_of_panel)

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, listed in the panel of the general options."""
        return _in_panel(super().get_help_option(ctx))


def _given_twice(options: Sequence[Any], arguments: Sequence[str]) -> str | None:
    """An option of one value that is given several."""
    given: dict[str, list[str]] = {}
    single = [option for option in options if not (option.multiple or option.is_flag or option.count)]
    for option in single:
        for name in option.opts:
            values = [value for before, value in pairwise(arguments) if before == name]
            values += [text.partition("=")[2] for text in arguments if text.startswith(f"{name}=")]
            given.setdefault(option.opts[0], []).extend(values)
    return repeat_problem(given, {option.opts[0]: str(option.metavar) for option in single})


def problem_of(error: Any, arguments: Sequence[str], names: Sequence[str]) -> str | None:
    """A plainer message for an error of the command-line parser; None to keep the parser's own."""
    option = getattr(error, "option_name", None)
    if option is not None:
        return letter_problem(option, names)
    return set_problem(arguments) if "unexpected extra argument" in str(error.message) else None


class Group(TyperGroup):
    """The list of commands, in the order in which a newcomer needs them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what precedes the command; raises UsageError that names the command to which an option belongs."""
        try:
            return super().parse_args(ctx, list(args))
        except UsageError as error:
            option = getattr(error, "option_name", "")
            having = [name for name in self.list_commands(ctx) if _has_option(self.commands[name], option)]
            if option and having:
                first = "annotate" if "annotate" in having else having[0]
                raise UsageError(f"{option}: comes after a command, as in uniner-dist {first} {option}", ctx) from None
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands in the order of their panels in `--help`."""
        panels = {name: str(getattr(self.commands[name], "rich_help_panel", None)) for name in self.commands}
        places = {name: GROUPS.index(panel) if panel in GROUPS else len(GROUPS) for name, panel in panels.items()}
        return sorted(super().list_commands(ctx), key=places.__getitem__)

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, listed in the panel of the general options."""
        return _in_panel(super().get_help_option(ctx))


def add_examples(app: typer.Typer) -> None:
    """Give every registered command its group, its examples and the way to the documentation."""
    place = documentation()
    more = [f"[dim]Documentation:[/dim] {place}"] if place else []
    for typer_app in (app, *(group.typer_instance for group in app.registered_groups if group.typer_instance)):
        for command in typer_app.registered_commands:
            name = command.name or (command.callback.__name__ if command.callback else "")
            command.cls = Command
            examples: list[tuple[str, str]] = []
            if typer_app is app and name in EXAMPLES:
                command.rich_help_panel, examples = EXAMPLES[name]
            lines = [f"[dim]{what}:[/dim]\n\n[bold]{line}[/bold]" for what, line in examples]
            command.epilog = "\n\n".join([*lines, *more])
    app.info.epilog = "\n\n".join(more)


def without_kinds(parameters: Sequence[Any]) -> None:
    """Show no value type for options that take none."""
    for option in parameters:
        if getattr(option, "is_flag", False):
            option.metavar = ""


def _has_option(command: Any, name: str) -> bool:
    return any(name in option.opts for option in command.params)


def _place_of_panel(option: Any) -> int:
    panel = getattr(option, "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def _in_panel(option: Any) -> Any:
    if option is not None:
        without_kinds([option])
        option.rich_help_panel = "Help"
    return option
