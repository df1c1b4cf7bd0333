"""Columns and types: Arrow's as Spark's, and a column by its exact name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type
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


def column(name: str) -> Column:
    """A column by its exact name, whatever signs are in it."""
    return F.col("`" + name.replace("`", "``") + "`")
