"""Columns and types: Arrow's as Spark's, and a column by its exact name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import Column, DataFrame
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


def fields_of(rows: DataFrame, name: str) -> list[StructField]:
    """Return the fields of a column of structs.

    Args:
        rows: table with the column.
        name: exact name of the column.
    """
    return cast(StructType, rows.schema[name].dataType).fields


def spark_type(kind: pa.DataType) -> DataType:
    """Return the Spark type that Spark's own reader gives a Parquet column of this Arrow type.

    Args:
        kind: Arrow type of a column; the type of the values where it is a dictionary.

    Returns:
        For unsigned integers the next larger signed type (uint64: `DecimalType(20, 0)`), for timestamps without a time
        zone `TimestampNTZType`.

    Raises:
        PySparkTypeError: Spark has no such type.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        return StringType()
    unsigned = _UNSIGNED.get(kind)
    return unsigned if unsigned is not None else from_arrow_type(kind, prefer_timestamp_ntz=True)


def spark_schema(schema: pa.Schema) -> StructType:
    """Return Spark's form of an Arrow schema, with the same names and nullability.

    Args:
        schema: such as one of `uniner_dist.schemas`.
    """
    return StructType([StructField(field.name, spark_type(field.type), field.nullable) for field in schema])


def arrow_type(kind: DataType) -> pa.DataType:
    """Return the Arrow type in which Spark gives values to Python, and takes them; a stage's time zone is UTC.

    Args:
        kind: Spark type of a column.
    """
    return arrow_schema(StructType([StructField("x", kind)])).field(0).type


def arrow_schema(schema: StructType) -> pa.Schema:
    """Return the Arrow schema in which Spark gives rows to Python, and takes them: `arrow_type` of each column.

    Args:
        schema: Spark's columns.
    """
    wants_zone = "timezone" in inspect.signature(to_arrow_schema).parameters  # Spark 3.5 takes UTC by itself
    found: pa.Schema = to_arrow_schema(schema, timezone="UTC") if wants_zone else to_arrow_schema(schema)
    return found


def column(name: str) -> Column:
    """Return a column by its exact name, whatever characters are in it.

    Args:
        name: as in the DataFrame; dots and backquotes are taken literally.
    """
    return F.col("`" + name.replace("`", "``") + "`")
