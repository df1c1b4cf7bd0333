"""Validation of foreign JSON: the first value of a wrong kind is named by its path, such as `spans[0].start`. Pure.

A shape is a function of a value and its path that raises ValueError if the value has another shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any, str], None]


def any_value(value: Any, place: str) -> None:
    """Accept any value.

    Args:
        value: the parsed JSON value to check.
        place: path of the value in its row, such as `spans[0].start`, for messages; empty for the row itself.
    """


def text(value: Any, place: str) -> None:
    """Check that a value is a string.

    Args:
        value: the parsed JSON value to check.
        place: path of the value in its row, such as `spans[0].start`, for messages; empty for the row itself.

    Raises:
        ValueError: it is anything else; the message names `place`.
    """
    _require(isinstance(value, str), value, place, "a string")


def whole(value: Any, place: str) -> None:
    """Check that a value is a whole number; `3.0` and `"3"` are, as other tools write them, and booleans are not.

    Args:
        value: the parsed JSON value to check.
        place: path of the value in its row, such as `spans[0].start`, for messages; empty for the row itself.

    Raises:
        ValueError: it is anything else; the message names `place`.
    """
    fits = (
        isinstance(value, int)
        or (isinstance(value, float) and value.is_integer())
        or (isinstance(value, str) and value.strip().isdecimal())
    )
    _require(fits and not isinstance(value, bool), value, place, "a whole number")


def as_whole(value: object) -> int:
    """Return a value of the shape `whole` as an integer.

    Args:
        value: the parsed JSON value.

    Raises:
        ValueError: it has another shape.
    """
    whole(value, "")
    return int(value) if isinstance(value, str | int | float) else 0


def name(value: Any, place: str) -> None:
    """Check that a value can be an id: a string or a number.

    Args:
        value: the parsed JSON value to check.
        place: path of the value in its row, such as `spans[0].start`, for messages; empty for the row itself.

    Raises:
        ValueError: it is anything else; the message names `place`.
    """
    _require(isinstance(value, str | int | float) and not isinstance(value, bool), value, place, "a string or a number")


def text_or_number(value: Any, place: str) -> None:
    """Check that a value can be a tag: its name, a string, or its number, which is whole.

    Args:
        value: the parsed JSON value to check.
        place: path of the value in its row, such as `spans[0].start`, for messages; empty for the row itself.

    Raises:
        ValueError: it is anything else; the message names `place`.
    """
    _require(isinstance(value, str | int) and not isinstance(value, bool), value, place, "a string or a whole number")


def maybe(shape: Shape) -> Shape:
    """Return the shape of values that have the given shape or are null.

    Args:
        shape: shape of the values that are not null.
    """

    def check(value: Any, place: str) -> None:
        if value is not None:
            shape(value, place)

    return check


def items(shape: Shape) -> Shape:
    """Return the shape of lists, empty ones too, all of whose values have one shape.

    Args:
        shape: shape of each item.
    """

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, list | tuple), value, place, "a list")
        for number, item in enumerate(value):
            shape(item, f"{place}[{number}]")

    return check


def row(*shapes: Shape) -> Shape:
    """Return the shape of lists with exactly one value of each given shape, in order.

    Args:
        *shapes: shapes of the first item, the second one, and so on.
    """

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, list | tuple), value, place, "a list")
        if len(value) != len(shapes):
            raise ValueError(f"{place} has {len(value)} items, not {len(shapes)}")
        for number, (shape, item) in enumerate(zip(shapes, value, strict=True)):
            shape(item, f"{place}[{number}]")

    return check


def fields(needed: Mapping[str, Shape], others: Mapping[str, Shape] | None = None) -> Shape:
    """Return the shape of objects with certain keys.

    Args:
        needed: key → shape, of keys that an object must have.
        others: key → shape, of keys that it may have; keys that are in neither may have any value.
    """

    def check(value: Any, place: str) -> None:
        _require(isinstance(value, Mapping), value, place, "an object")
        for key, shape in needed.items():
            if key not in value:
                raise ValueError(f"{place or 'it'} has no {key}")
            shape(value[key], f"{place}.{key}" if place else key)
        for key, shape in (others or {}).items():
            if key in value:
                shape(value[key], f"{place}.{key}" if place else key)

    return check


def _require(fits: bool, value: Any, place: str, expected: str) -> None:
    if not fits:
        raise ValueError(f"{place or 'it'} is {describe(value)}, not {expected}")


def describe(value: Any) -> str:
    """Return the JSON type of a value for a message; a string or number of at most 40 characters is included.

    Args:
        value: the parsed JSON value, such as `"Rome"`, of which `a string ('Rome')` is returned.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    kinds = ((str, "a string"), (int | float, "a number"), (Mapping, "an object"), (list | tuple, "a list"))
    kind = next((named for type_, named in kinds if isinstance(value, type_)), f"a {type(value).__name__}")
    return f"{kind} ({value!r})" if isinstance(value, str | int | float) and len(repr(value)) <= 40 else kind
