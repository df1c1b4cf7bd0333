"""Kill a command at each change of the file system that it makes, one after the other, in a process of its own.

The child is a fork that ends by `os._exit` in the middle: no `finally`, no `except` and no thread of it goes on. Only
for commands without Spark and Ray, whose connections a fork would share.
"""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from uniner_dist.storage import commit

#: Calls that change what others see; a file that is written under another name first appears by one of them.
_CHANGES = ("replace", "link", "unlink", "rmdir", "rename")
KILLED, _RAISED = 77, 78


def dies_at(point: int, command: Callable[[], object]) -> bool:
    """Run a command in another process, which dies just before its change number `point` (from 0).

    Returns:
        False when it came to its end before.

    Raises:
        AssertionError: the command raised; its stack trace is on the error output.
    """
    child = os.fork()
    if not child:
        try:
            arm(point)
            command()
        except BaseException:
            traceback.print_exc()
            os._exit(_RAISED)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"the command ended with {code} at its change {point}"
    return code == KILLED


def arm(point: int) -> None:
    """Let this process end just before its change number `point` (from 0)."""
    left = [point]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            if not left[0]:
                os._exit(KILLED)
            left[0] -= 1
            return call(*arguments, **options)

        return change

    for name in _CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    commit._exchange = counted(commit._exchange)


def worlds(template: Path, place: Path, command: Callable[[], object], step: int = 1) -> Iterator[int]:
    """For each (`step`-th) change of a command: the place as it was, and the command killed there; yields its number.

    Args:
        template: how `place` is before the command.
    """
    point = 0
    while True:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place, symlinks=True)
        if not dies_at(point, command):
            return
        yield point
        point += step
