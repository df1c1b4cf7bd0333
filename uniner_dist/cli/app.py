"""The command line: parse, load the configuration, call one function, exit code. `jobs/` calls the same."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from uniner_dist.cli.commands import configuration, data, health, job, keeping, quality, stages
from uniner_dist.cli.examples import add_examples
from uniner_dist.cli.root import app, say
from uniner_dist.errors import ConfigError, UninerError, format_error
from uniner_dist.runtime.engines import missing_extra

__all__ = ["GROUPS", "app", "main"]

#: Command groups, in the order in which `--help` lists their commands.
GROUPS = (health, job, stages, keeping, quality, data, configuration)

add_examples(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Errors on purpose become one message, others show their stack trace."""
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except UninerError as error:
        say(format_error(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        hint = missing_extra((error.name or "").partition(".")[0])
        say(f"error: {hint}" if hint else traceback.format_exc())
        return ConfigError.exit_code if hint else 1
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except Exception:
        say(traceback.format_exc())
        return 1
    return 0
