"""`--json` of commands that also print tables: a file besides them, or standard output instead of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import absolute, is_local, json_text, open_fs, write_json

#: Means standard output.
STDOUT: Final = "-"

#: What the help of such an option ends with.
HELP: Final = "as JSON instead of the tables; with PATH, write it there as well as the tables."


def check_json_path(json_path: str | None) -> None:
    """Before the work: a place that cannot take the file afterwards.

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
        value: what the JSON has.
        tables: prints the result for people.
        json_path: a path, `-`, or None for none.
        said: tells where the file is.
    """
    if json_path == STDOUT:
        print(json_text(value))
        return
    tables()
    if json_path:
        write_json(absolute(json_path), value)
        if said is not None:
            said()
