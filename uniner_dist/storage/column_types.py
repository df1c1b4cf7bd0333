"""Types of Parquet columns: the type that each is read as, and the common type of several files. Pure.

A column is read as one of few types that Spark, pyarrow and DuckDB agree about; a value is never changed on the way.
`docs/readers.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

_MICROSECONDS: Final = "us"
_MAX_DIGITS: Final = 38
#: Types that unsigned integers are read as, as in Spark: the next type that holds all their values.
_UNSIGNED: Final = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
#: Type → decimal digits of its largest value.
_DIGITS: Final = {pa.int8(): 3, pa.int16(): 5, pa.int32(): 10, pa.int64(): 19}
#: Types whose every value a float holds exactly.
_IN_FLOAT: Final = (pa.int8(), pa.int16(), pa.float32())
_IN_DOUBLE: Final = (pa.int8(), pa.int16(), pa.int32(), pa.float32(), pa.float64())
#: The largest integer up to which a double holds all.
DOUBLE_INTEGERS: Final = 2**53


class UnreadableTypeError(ValueError):
    """A type that is not read; the message says why, and what to write instead."""


def read_type(stored: pa.DataType, int96: bool = False, binary_text: bool = False) -> pa.DataType:
    """Return the type that a column is read as.

    Args:
        stored: the type that pyarrow gives it.
        int96: whether its timestamps are stored as INT96: an instant in microseconds, as for Spark.
        binary_text: whether bytes are UTF-8 text.

    Raises:
        UnreadableTypeError: for types that Spark does not have.
    """

    def inner(kind: pa.DataType) -> pa.DataType:
        return read_type(kind, int96, binary_text)

    if pa.types.is_dictionary(stored):
        return inner(stored.value_type)
    if isinstance(stored, pa.BaseExtensionType):
        return _extension(stored, inner)
    if is_string(stored):
        return pa.string()
    if _is_binary(stored):
        return pa.string() if binary_text else pa.binary()
    if pa.types.is_timestamp(stored):
        return pa.timestamp(_MICROSECONDS, "UTC" if stored.tz or int96 else None)
    if pa.types.is_date(stored):
        return pa.date32()
    if pa.types.is_decimal(stored):
        if stored.precision > _MAX_DIGITS:
            raise UnreadableTypeError(f"{stored} has more than {_MAX_DIGITS} digits")
        return pa.decimal128(stored.precision, stored.scale)
    if pa.types.is_float16(stored):
        return pa.float32()
    if stored in _UNSIGNED:
        return _UNSIGNED[stored]
    if _is_list(stored):
        return pa.list_(pa.field("element", inner(stored.value_type)))
    if pa.types.is_struct(stored):
        return pa.struct([pa.field(field.name, inner(field.type)) for field in stored])
    if pa.types.is_map(stored):
        return pa.map_(inner(stored.key_type), inner(stored.item_type))
    if pa.types.is_null(stored) or pa.types.is_boolean(stored) or stored in _DIGITS or pa.types.is_floating(stored):
        return stored
    hint = "; write it as a number of a unit that its name says" if _is_time(stored) else ""
    raise UnreadableTypeError(f"{stored} is a type that Spark does not read{hint}")


def _extension(stored: pa.DataType, inner: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    if getattr(stored, "extension_name", "") == "arrow.json":
        return pa.string()
    if getattr(stored, "extension_name", "") == "arrow.uuid":
        raise UnreadableTypeError("UUIDs are a type that Spark does not read; write them as strings")
    if getattr(stored, "extension_name", "") == "arrow.opaque" and stored.type_name == "variant":
        raise UnreadableTypeError("variants are a type that pyarrow does not read; write them as JSON")
    if getattr(stored, "extension_name", "") == "arrow.bool8":  # a byte each, of which any but 0 is true
        return pa.bool_()
    return inner(stored.storage_type)


def is_string(kind: pa.DataType) -> bool:
    """Return whether a type holds strings; dictionaries of strings and Arrow's JSON extension do too.

    Args:
        kind: any Arrow type, as stored or as read.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        return bool(getattr(kind, "extension_name", "") == "arrow.json")
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    return any(test(kind) for test in (*tests, pa.types.is_large_list_view))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_time(kind) or pa.types.is_duration(kind))


def is_read_by_spark(stored: pa.DataType, int96: bool = False) -> bool:
    """Return whether Spark's own reader gives a column the values and the type of `read_type`; pyarrow does for all.

    Args:
        stored: the type that pyarrow gives the column; for a nested type all of its parts are checked.
        int96: whether its timestamps are stored as INT96; other timestamps in nanoseconds are not read by Spark.
    """
    if pa.types.is_dictionary(stored):
        return is_read_by_spark(stored.value_type, int96)
    if isinstance(stored, pa.BaseExtensionType):
        return getattr(stored, "extension_name", "") == "arrow.json"
    if pa.types.is_timestamp(stored):
        return bool(stored.unit != "ns" or int96)
    if _is_list(stored):
        return is_read_by_spark(stored.value_type, int96)
    if pa.types.is_struct(stored):
        return all(is_read_by_spark(field.type, int96) for field in stored)
    if pa.types.is_map(stored):
        return is_read_by_spark(stored.key_type, int96) and is_read_by_spark(stored.item_type, int96)
    return not (pa.types.is_float16(stored) or pa.types.is_fixed_size_binary(stored) or pa.types.is_null(stored))


def is_nested(kind: pa.DataType) -> bool:
    """Return whether a type consists of others: a list, struct or map.

    Args:
        kind: a type of `read_type`.
    """
    return bool(pa.types.is_nested(kind))


def widened(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Return the type that holds every value of two types of `read_type` unchanged, or None where there is none.

    Args:
        first: type of a column in one file; the null type, of a column of nulls alone, fits any other. The fields of
            structs are joined by name, those of the first type first.
        second: type of the same column in another file.
    """
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    for one, other in ((first, second), (second, first)):
        found = _widened(one, other)
        if found is not None:
            return found
    return None


def _widened(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    if first in _DIGITS and second in _DIGITS:
        return max(first, second, key=lambda kind: _DIGITS[kind])
    if pa.types.is_decimal(first) and (pa.types.is_decimal(second) or second in _DIGITS):
        return _wider_decimal(first, second)
    if first == pa.float32() and second in _IN_FLOAT:
        return first
    if pa.types.is_floating(first) and second in _IN_DOUBLE:
        return pa.float64()
    if pa.types.is_date(first) and pa.types.is_timestamp(second) and second.tz is None:
        return second
    if pa.types.is_list(first) and pa.types.is_list(second):
        element = widened(first.value_type, second.value_type)
        return None if element is None else pa.list_(pa.field("element", element))
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        return _wider_struct(first, second)
    if pa.types.is_map(first) and pa.types.is_map(second):
        key, item = widened(first.key_type, second.key_type), widened(first.item_type, second.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    return None


def _wider_decimal(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    digits, scale = (second.precision, second.scale) if pa.types.is_decimal(second) else (_DIGITS[second], 0)
    whole = max(first.precision - first.scale, digits - scale)
    scale = max(first.scale, scale)
    return pa.decimal128(whole + scale, scale) if whole + scale <= _MAX_DIGITS else None


def _wider_struct(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Fields by name; one that the other lacks is null there."""
    kinds = {field.name: field.type for field in first}
    for field in second:
        kind = widened(kinds[field.name], field.type) if field.name in kinds else field.type
        if kind is None:
            return None
        kinds[field.name] = kind
    return pa.struct([pa.field(name, kind) for name, kind in kinds.items()])
