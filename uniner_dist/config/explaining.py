"""What is wrong with a configuration, one sentence for each value, in the words of whoever wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from uniner_dist.config.secrets import find_secrets, is_secret_name

_HINTS: Final[Mapping[str, str]] = {
    "corpus": " (--corpus …)",
    "corpus.path": " (--corpus …)",
    "output": " (--output …)",
    "output.path": " (--output …)",
    "types": " (--types person,location)",
}
#: Beginning of a pydantic error's type → what the value should have been.
_KINDS: Final[Mapping[str, str]] = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string_type": "text",
    "model_type": "a mapping of options",
    "dict": "a mapping",
    "tuple": "a list of names",
    "list": "a list",
}
#: Error type → what a value must be that is of the right kind.
_BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be greater than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt:g}",
    "string_too_short": "must not be empty",
}

#: Longest value in a message.
_SHOWN_CHARS: Final = 200


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return one sentence for each wrong value; errors of the members of a union become one.

    Args:
        error: what pydantic raised when it validated `root`.
        root: the model that was validated; near names among its options are suggested for unknown ones.
    """
    items = error.errors()
    return [_sentence(path, list(group), root) for path, group in groupby(items, lambda item: _path(item["loc"], root))]


def _sentence(path: tuple[str | int, ...], items: Sequence[Any], root: type[BaseModel]) -> str:
    where, item = _spelled(path), items[0]
    if item["type"] == "missing":
        return f"{where}: is required{_HINTS.get(where, '')}"
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown option; {_near(str(path[-1]), _known_keys(root, path[:-1]), root)}"
    if item["type"] == "value_error":
        message = str(item["msg"]).removeprefix("Value error, ")
        return f"{where}: {message}" if where else message
    shown = _shown(where, item["input"])
    if item["type"] in _BOUNDS:
        return f"{where}: {_BOUNDS[item['type']].format(**item['ctx'])} (got {shown})"
    wanted = list(dict.fromkeys(_wanted(item) for item in items))
    if item["input"] is None:
        return f"{where}: has no value; give {' or '.join(wanted)}"
    if item["type"] == "model_type":
        return f"{where}: {shown} is not a mapping of options; write {where}.{_known_keys(root, path)[0]} or the like"
    verdict = f"is not {wanted[0]}" if len(wanted) == 1 else f"is neither {' nor '.join(wanted)}"
    return f"{where}: {shown} {verdict}"


def _near(name: str, known: Sequence[str], root: type[BaseModel]) -> str:
    """What may have been meant: an option with nearly this name, this beginning, or this name in another section."""
    near = difflib.get_close_matches(name, known, n=1) or [key for key in known if key.startswith(name)][:1]
    sections = {key: _known_keys(root, [key]) for key in root.model_fields}
    elsewhere = [f"{section}.{name}" for section, keys in sections.items() if name in keys]
    if near or elsewhere:
        return f"did you mean {(near or elsewhere)[0]!r}?"
    return f"known: {', '.join(known)}"


def _shown(where: str, value: Any) -> str:
    """The value, shortened; "…" for one that is a secret or has one in it."""
    if is_secret_name(where) or find_secrets({where: value}):
        return "…"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"


def _wanted(item: ErrorDetails) -> str:
    if item["type"] == "literal_error":
        return str(item["ctx"]["expected"]).replace("'", '"')
    kinds = (words for kind, words in _KINDS.items() if item["type"].startswith(kind))
    return next(kinds, str(item["msg"]).removeprefix("Input should be "))


def _spelled(path: Sequence[str | int]) -> str:
    """`types[0].label` of `("types", 0, "label")`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _path(location: Sequence[str | int], root: type[BaseModel]) -> tuple[str | int, ...]:
    """Where a value is, without the names of union members that pydantic appends."""
    path: list[str | int] = []
    model: type[BaseModel] | None = root
    for part in location:
        if model is None and not isinstance(part, int) and path and _is_leaf(root, path):
            break
        path.append(part)
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model else None
        annotation = field.annotation if field else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return tuple(path)


def _is_leaf(root: type[BaseModel], path: Sequence[str | int]) -> bool:
    """Whether a path ends at a field whose parts have no names: a number, a text, one of several words."""
    model = root
    for part in path:
        if isinstance(part, int):
            return False
        field = model.model_fields.get(part)
        if field is None:
            return False
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            continue
        return "dict" not in str(annotation)
    return False


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
