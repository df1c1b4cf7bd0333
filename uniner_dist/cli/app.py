"""The command line: parse, load the configuration, call one function, exit code. `jobs/` calls the same."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from uniner_dist.cli.command import UsageError, add_examples
from uniner_dist.cli.commands import configuration, data, health, job, keeping, quality, stages
from uniner_dist.cli.logging_options import command_of
from uniner_dist.cli.root import app, say
from uniner_dist.errors import ConfigError, UninerError, format_error
from uniner_dist.runtime.engines import missing_extra

__all__ = ["GROUPS", "app", "main"]

#: Command groups, in the order in which `--help` lists their commands.
GROUPS = (health, job, stages, keeping, quality, data, configuration)

#: Words of the libraries that read a command line → plainer ones.
_PLAINER = (
    (re.compile(r"Input should be a valid integer.*", re.DOTALL), "it must be a whole number"),
    (re.compile(r"Input should be a valid number.*", re.DOTALL), "it must be a number"),
    (re.compile(r"Input should be a valid boolean.*", re.DOTALL), "it must be true or false"),
    (
        re.compile(r"^Got unexpected extra argument\(?s?\)? \((.*)\)", re.DOTALL),
        r"\1: belongs to no option; lists have commas and no spaces, as in --types person,location; "
        "quote what has spaces",
    ),
)

add_examples(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Errors on purpose become one message, others show their stack trace."""
    try:
        arguments = list(arguments) if arguments is not None else sys.argv[1:]
        _require_utf8(arguments)
        left = command_of(app)(args=arguments, prog_name="uniner-dist", standalone_mode=False)
        return left if isinstance(left, int) else 0  # of a command that left by `typer.Exit`
    except UsageError as error:
        return _refuse(error)
    except UninerError as error:
        say(format_error(error), logging.ERROR)
        return error.exit_code
    except ModuleNotFoundError as error:
        hint = missing_extra((error.name or "").partition(".")[0])
        say(f"error: {hint}" if hint else traceback.format_exc(), logging.ERROR)
        return ConfigError.exit_code if hint else 1
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except Exception:
        say(traceback.format_exc(), logging.ERROR)
        return 1


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse bytes of a command line that are no text: they could be written to no file and shown on no page."""
    for value in arguments:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{value!r}: is not UTF-8; rename what it names, or write it in UTF-8") from None


def _refuse(error: Any) -> int:
    """Say in one line, however narrow the terminal, what of a command line is wrong; returns the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(error.exit_code)
    words = str(error.format_message()).replace("Value error, ", "").removesuffix(".")
    for pattern, plainer in _PLAINER:
        words = pattern.sub(plainer, words)
    words = words if words[1:2].isupper() else words[:1].lower() + words[1:]
    help_of = f"; see {error.ctx.command_path} -h" if error.ctx is not None else ""
    say(f"error: {' '.join(words.split())}{help_of}", logging.ERROR)
    return int(error.exit_code)
