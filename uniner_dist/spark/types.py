"""Columns and types: Arrow's as Spark's, and a column by its exact name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
from pyspark.sql.types import (
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

_UNSIGNED: Mapping[Any, DataType] = {
    pa.uint8(): ShortType(),
    pa.uint16(): IntegerType(),
    pa.uint32(): LongType(),
    pa.uint64(): DecimalType(20, 0),
}


def spark_type(kind: pa.DataType) -> DataType:
    """The Spark type that Spark's own reader gives a Parquet column of this Arrow type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        return StringType()
    unsigned = _UNSIGNED.get(kind)
    return unsigned if unsigned is not None else from_arrow_type(kind, prefer_timestamp_ntz=True)


def spark_schema(schema: pa.Schema) -> StructType:
    """One of `uniner_dist.schemas`, as Spark's."""
    return StructType([StructField(field.name, spark_type(field.type), field.nullable) for field in schema])


def arrow_type(kind: DataType) -> pa.DataType:
    """The Arrow type in which Spark gives values to Python, and takes them; a stage's time zone is UTC."""
    return arrow_schema(StructType([StructField("x", kind)])).field(0).type


def arrow_schema(schema: StructType) -> pa.Schema:
    """`arrow_type` of each column."""
    wants_zone = "timezone" in inspect.signature(to_arrow_schema).parameters  # Spark 3.5 takes UTC by itself
    found: pa.Schema = to_arrow_schema(schema, timezone="UTC") if wants_zone else to_arrow_schema(schema)
    return found


def column(name: str) -> Column:
    """A column by its exact name, whatever signs are in it."""
    return F.col("`" + name.replace("`", "``") + "`")
