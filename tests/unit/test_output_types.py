"""What a start asks of an output that is there already."""

from __future__ import annotations

import pyarrow as pa
import pytest

from uniner_dist.pipeline.check_output import SPARK_NAMES
from uniner_dist.spark.types import spark_type


@pytest.mark.parametrize("kind", SPARK_NAMES, ids=str)
def test_spark_calls_its_types_as_it_is_said_without_it(kind: pa.DataType) -> None:
    assert spark_type(kind).simpleString() == SPARK_NAMES[kind]
