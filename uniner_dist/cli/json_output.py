"""Option `--json` of commands that also print tables: a file in addition, or standard output instead."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import absolute, is_local, json_text, open_fs, write_json

#: Means standard output.
STDOUT: Final = "-"

#: End of such an option's help.
HELP: Final = "as JSON instead of the tables; with PATH, write it there as well as the tables."


def check_json_path(json_path: str | None) -> None:
    """Check before the work that the file can be written afterwards.

    Raises:
        ConfigError: it is a folder, or may not be written.
    """
    if json_path is None or json_path == STDOUT:
        return
    fs, stripped = open_fs(absolute(json_path))
    if not is_local(fs):
        return
    if os.path.isdir(stripped):
        raise ConfigError(f"--json {json_path}: is a folder; name a file")
    there = stripped if os.path.exists(stripped) else os.path.dirname(stripped)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    if not os.access(there, os.W_OK):
        raise ConfigError(f"--json {json_path}: may not be written")


def show(value: Any, tables: Callable[[], None], json_path: str | None, said: Callable[[], None] | None = None) -> None:
    """Show a result.

    Args:
        value: content of the JSON.
        tables: prints the result for people.
        json_path: a path, `-`, or None for none.
        said: takes a line that names the file.
    """
    if json_path == STDOUT:
        print(json_text(value))
        return
    tables()
    if json_path:
        write_json(absolute(json_path), value)
        if said is not None:
            said()
