"""Recognises typing mistakes that a command-line parser would misinterpret. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

#: Dashes that word processors and web pages make of two hyphens.
_PRINTED: Final = re.compile(r"[\u2010-\u2015\u2212]+([a-z][a-z-]*)(=.*)?", re.DOTALL)
_SINGLE: Final = re.compile(r"-([a-z][a-z-]+)(=.*)?", re.DOTALL)


def dash_problem(arguments: Sequence[str], options: Sequence[str]) -> str | None:
    """Message on wrong dashes of an argument; None where nothing is wrong.

    Args:
        arguments: the command line after the program's name, as typed.
        options: names with their hyphens, such as `--corpus`.
    """
    for argument in arguments:
        if argument == "--":
            return None
        if (found := _PRINTED.fullmatch(argument)) and f"--{found[1]}" in options:
            return f"{argument}: begins with a printed dash; write --{found[1]}"
        if (found := _SINGLE.fullmatch(argument)) and f"--{found[1]}" in options:
            return f"no such option: -{found[1]}; did you mean --{found[1]}?"
    return None


def letter_problem(option: str, options: Sequence[str]) -> str | None:
    """Suggestion for a letter such as `-o`; None where no option begins so."""
    near = [name for name in options if len(option) == 2 and name.startswith(f"--{option[1]}")]
    return f"no such option: {option}; did you mean {' or '.join(near[:3])}?" if near else None


def set_problem(arguments: Sequence[str]) -> str | None:
    """A `--set` without `=`, whose value a shell has taken apart: `--set pool.replicas 2`."""
    for name, value in pairwise(arguments):
        if name == "--set" and "=" not in value:
            return f"--set {value}: write key=value, such as pool.replicas=2"
    return None


def repeat_problem(given: Mapping[str, Sequence[Any]], metavars: Mapping[str, str]) -> str | None:
    """An option that takes one value and was given several, of which all but the last would be lost.

    Args:
        given: option → its values, of options that take one.
        metavars: option → how its help calls the value.
    """
    for option, values in given.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            how = f", as in {option} {','.join(map(str, different))}" if metavars.get(option) == "NAME,…" else ""
            return f"{option}: is given {len(values)} times; give it once{how}"
    return None
