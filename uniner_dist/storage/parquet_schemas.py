"""Parquet's own schema of a file: pyarrow's types of its columns, and what these types do not tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

#: Field metadata of a column whose timestamps are stored as INT96.
INT96 = b"uniner.int96"
#: Type that a column of variants is given here; pyarrow itself gives it the struct of its parts.
VARIANT = pa.opaque(pa.binary(), "variant", "parquet")
#: Logical types that the Arrow type of a footer may not tell from bytes, by their names in Parquet.
_NOT_BYTES = {"UUID": pa.uuid(), "INTERVAL": pa.month_day_nano_interval()}
#: pyarrow's type that holds the values of polars' Int128; Spark has none.
_INT128 = pa.decimal256(39, 0)
_VARIANT = re.compile(r"^ *\w+ group field_id=-?\d+ (.*) \(Variant\(\d+\)\) \{$", re.MULTILINE)
_MAP = re.compile(r"^ *\w+ group field_id=-?\d+ (.*) \(Map\) \{$", re.MULTILINE)


def arrow_schema(parquet: Any, opaque: bool = False) -> pa.Schema:
    """Return pyarrow's types of the columns, without metadata except that of INT96.

    Where the writer's Arrow types are unknown, 16 bytes without a Parquet type are an integer of polars (Int128).

    Args:
        parquet: pyarrow's `ParquetSchema`.
        opaque: whether the writer's Arrow types are unknown.

    Raises:
        pa.ArrowException: a type that pyarrow does not know.
    """
    schema = parquet.to_arrow_schema()
    tops = _top_names(parquet, schema.names)
    leaves = [(top, parquet.column(i)) for i, top in enumerate(tops)]
    int96 = {top for top, leaf in leaves if leaf.physical_type == "INT96"}
    named = {top: _NOT_BYTES[name] for top, leaf in leaves for name in _type_names(leaf) if name in _NOT_BYTES}
    named |= dict.fromkeys(_variants(parquet, schema), VARIANT)
    if opaque:
        named |= {top: _INT128 for top, leaf in leaves if _is_int128(leaf)}
    fields = [field.with_type(named.get(field.name, field.type)) for field in schema]
    return pa.schema([field.with_metadata({INT96: b"1"} if field.name in int96 else {}) for field in fields])


def leaves_of(parquet: Any, columns: Sequence[str] | None) -> list[int]:
    """Return the numbers of the leaf columns that belong to some top-level columns, ascending.

    Args:
        parquet: pyarrow's `ParquetSchema`.
        columns: names of top-level columns, upper and lower case alike; None: all.
    """
    wanted = None if columns is None else {name.lower() for name in columns}
    tops = _top_names(parquet, parquet.to_arrow_schema().names)
    return [leaf for leaf, top in enumerate(tops) if wanted is None or top.lower() in wanted]


def only_pyarrow_reads(parquet: Any, leaves: Iterable[int], schema: pa.Schema) -> bool:
    """Return whether Spark's reader fails where pyarrow gives the values (Spark 4.3, public files of parquet-testing).

    - A logical type that Spark's library does not know, of any column: it reads no column of the file then.
    - Decimals of variable length with few digits.
    - Maps without values, which are lists for pyarrow.

    Args:
        parquet: pyarrow's `ParquetSchema`.
        leaves: numbers of the leaf columns that are going to be read.
        schema: pyarrow's types of all columns.
    """
    if any(parquet.column(leaf).logical_type.type == "UNDEFINED" for leaf in range(len(parquet))):
        return True
    wanted = [parquet.column(leaf) for leaf in leaves]
    if any(it.physical_type == "BYTE_ARRAY" and it.logical_type.type == "DECIMAL" for it in wanted):
        return True
    lists = {field.name for field in schema if pa.types.is_list(field.type)}
    tops = {name for name in lists if any(f"{it.path}.".startswith(f"{name}.key_value.") for it in wanted)}
    return bool(tops) and not tops.isdisjoint(_MAP.findall(str(parquet)))


def _variants(parquet: Any, schema: pa.Schema) -> frozenset[str]:
    """Names of columns whose logical type is a variant; pyarrow takes them for structs."""
    structs = [field for field in schema if pa.types.is_struct(field.type)]
    if all(field.type.get_field_index("metadata") < 0 for field in structs):
        return frozenset()
    return frozenset(_VARIANT.findall(str(parquet)))


def _top_names(parquet: Any, names: Sequence[str]) -> list[str]:
    """The column that each leaf of a Parquet schema belongs to; names, like paths, may contain dots."""
    tops, place = [], 0
    for leaf in range(len(parquet)):
        path = parquet.column(leaf).path
        while not f"{path}.".startswith(f"{names[place]}."):
            place += 1
        tops.append(names[place])
    return tops


def _is_int128(leaf: Any) -> bool:
    return bool(leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" and leaf.length == 16 and leaf.logical_type.type == "NONE")


def _type_names(leaf: Any) -> tuple[str, str]:
    return leaf.logical_type.type, leaf.converted_type
