"""Renames configuration keys in problems to the options that were typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from uniner_dist.errors import ConfigError

#: Prefix of a problem, followed by the value → the key that it is about.
_SHORT: Final[Mapping[str, str]] = {"corpus": "corpus.path", "model": "model.name"}


@contextmanager
def named_as_typed(typed: Mapping[str, str]) -> Iterator[None]:
    """Problems of this block begin with the option where that was typed: `--keep x`, not `corpus.keep_columns x`.

    Args:
        typed: key of the configuration, or name of an argument → option.
    """
    try:
        yield
    except ConfigError as error:
        named = [_named(problem, typed) for problem in error.problems]
        if named == error.problems:
            raise
        raise type(error)(named) from error


def _named(problem: str, typed: Mapping[str, str]) -> str:
    for key, option in typed.items():
        for sign in (":", " ", "["):
            if problem.startswith(key + sign):
                return option + problem[len(key) :]
    for short, key in _SHORT.items():
        if key in typed and problem.startswith(f"{short} "):
            return typed[key] + problem[len(short) :]
    return problem
