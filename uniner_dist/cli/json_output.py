"""`--json` of commands that also print tables: a file beside them, or standard output instead of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from uniner_dist.storage.filesystem import absolute, json_text, write_json

#: Stands for standard output.
STDOUT: Final = "-"

#: What the help of such an option ends with.
HELP: Final = "as JSON instead of the tables; with PATH, write it there as well as the tables."


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
