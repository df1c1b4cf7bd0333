"""Errors of this package on their way from Spark's tasks to the driver, told apart from text that only looks like one.

Spark passes an exception on as text, in which values of a corpus may occur. So a task encodes an error of ours in a
form that holds a number which only this driver and its tasks know; nothing else in the text is taken for one of ours.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from uniner_dist import errors
from uniner_dist.errors import AuditError, ConfigError, PoolError, StageError, ThresholdError, UninerError

#: This process's number; it reaches the tasks inside the functions that they run.
_NONCE: Final = secrets.token_hex(16)

#: Errors whose constructor takes one message.
_SIMPLE: Final = (StageError, AuditError, ThresholdError, PoolError)

ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class TaskError(Exception):
    """An error of this package as a task raises it: readable, and sealed for the driver."""


class Sealed:
    """A function for Spark's tasks whose errors, if they are of this package, the driver can restore."""

    def __init__(self, function: ArrowFunction) -> None:
        self._function, self._nonce = function, _NONCE

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what the function does; an error of ours becomes a TaskError that the driver can take apart again."""
        try:
            yield from self._function(batches)
        except UninerError as error:
            raise TaskError(f"{error}\n{seal(error, self._nonce)}") from error


def seal(error: UninerError, nonce: str = _NONCE) -> str:
    """Return an error as one word, from which `unsealed` restores it.

    Args:
        error: an error of this package.
        nonce: 32 hex digits that are known to the driver and its tasks only; in a task, those of the driver. Default:
            those of this process.
    """
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    kind = next(one.__name__ for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one)
    content = json.dumps([kind, problems]).encode()
    return f"uniner-dist-{nonce}-{base64.urlsafe_b64encode(content).decode()}-end"


def unsealed(text: str) -> UninerError | None:
    """Return the error of this package that a task has raised, None when there is none in the text.

    Args:
        text: message of an exception of Spark's, in which `seal` may have put an error.

    Returns:
        An error of the class that `seal` got if it is ConfigError or one of `_SIMPLE`, else a StageError.
    """
    found = re.search(rf"uniner-dist-{_NONCE}-([A-Za-z0-9_=-]+)-end", text)
    if found is None:
        return None
    try:
        kind, problems = json.loads(base64.urlsafe_b64decode(found[1]))
    except (ValueError, binascii.Error):
        return None
    if kind == ConfigError.__name__:
        return ConfigError(problems)
    simple: dict[str, type[UninerError]] = {one.__name__: one for one in _SIMPLE}
    return simple.get(kind, StageError)(problems[0])
