"""Docstrings of public functions are in Google's form: arguments, results, and errors that the function raises itself.

That there is one, and its form, is checked by ruff (`D`, pydocstyle).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import uniner_dist

ROOT = Path(uniner_dist.__file__).parent
#: Their docstrings are what `--help` says.
COMMANDS = "cli/"
SECTIONS = ("Args", "Raises", "Returns", "Yields")
#: Other ways to head a section, which Google's form does not have.
OTHERS = ("Arguments", "Parameters", "Params", "Return", "Raise", "Throws", "Yield")


def _public_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for file in sorted(ROOT.rglob("*.py")):
        where = file.relative_to(ROOT).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        for node in [*tree.body, *(one for scope in classes for one in scope.body)]:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not where.startswith(COMMANDS):
                yield f"{where}:{node.lineno} {node.name}", node


def _describes_itself(function: ast.FunctionDef) -> bool:
    """Whether a docstring needs neither arguments nor a result: those of properties, and of pydantic's hooks."""
    words = ("property", "cached_property", "overload", "setter", "validator", "serializer")
    return any(word in ast.unparse(one) for one in function.decorator_list for word in words)


def _arguments(function: ast.FunctionDef) -> list[str]:
    taken = function.args
    names = [one.arg for one in [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]]
    names += [one.arg for one in (taken.vararg, taken.kwarg) if one]
    return [name for name in names if name not in ("self", "cls")]


def _described(function: ast.FunctionDef) -> set[str]:
    """Arguments that the docstring describes; several of one meaning may share an entry."""
    lines, found = (ast.get_docstring(function) or "").split("\n"), set()
    for line in lines[lines.index("Args:") + 1 :] if "Args:" in lines else []:
        if not line.startswith("    "):
            break
        if line[4] != " " and ": " in line:
            found |= {part.strip().lstrip("*") for part in line.split(":")[0].split(",")}
    return found


def _raised(function: ast.FunctionDef) -> set[str]:
    """Errors that a function makes and raises itself, not by a function inside of it."""
    made = (node.exc for node in _own(function) if isinstance(node, ast.Raise))
    names = {one.func.id for one in made if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
    return {name for name in names if name.endswith("Error") and name not in {"AssertionError", "AttributeError"}}


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own(child)


FUNCTIONS = dict(_public_functions())


def test_there_are_functions_to_look_at() -> None:
    assert len(FUNCTIONS) > 500


def test_errors_that_a_function_raises_are_in_its_docstring() -> None:
    silent = []
    for name, function in FUNCTIONS.items():
        told = ast.get_docstring(function)
        said = told is None or any(word in told for word in ("Raises:", "raises", "Raises "))
        if not said and _raised(function):
            silent.append(name)
    assert silent == []


@pytest.mark.parametrize("heading", OTHERS)
def test_sections_have_google_s_headings(heading: str) -> None:
    wrong = [name for name, one in FUNCTIONS.items() if f"\n{heading}:" in (ast.get_docstring(one) or "")]
    assert wrong == [], f"one of {', '.join(SECTIONS)}"


def test_arguments_that_a_docstring_describes_exist() -> None:
    wrong = [
        f"{name}: {one}"
        for name, function in FUNCTIONS.items()
        for one in _described(function) - set(_arguments(function))
        if one.isidentifier()
    ]
    assert wrong == []


def test_every_argument_is_described() -> None:
    silent = {
        name: missing
        for name, function in FUNCTIONS.items()
        if not _describes_itself(function) and (missing := set(_arguments(function)) - _described(function))
    }
    assert silent == {}


def test_every_result_is_described() -> None:
    silent = []
    for name, function in FUNCTIONS.items():
        lines = (ast.get_docstring(function) or "").split("\n")
        nothing = function.returns is None or ast.unparse(function.returns) in ("None", "NoReturn", "Never")
        said = lines[0].split(" ")[0] in ("Return", "Yield") or "Returns:" in lines or "Yields:" in lines
        if not (nothing or said or _describes_itself(function)):
            silent.append(name)
    assert silent == []
