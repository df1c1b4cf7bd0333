"""Converts annotations to the kind of the input: a list for strings, else a table or a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from uniner_dist.notebook.display import marked_documents, to_html
from uniner_dist.notebook.inputs import Kind


class Annotations(list[dict[str, Any]]):
    """Annotations of plain strings: one dict per text and entity type, keys as the columns of `schemas.py`.

    The keys are described at `Annotator.annotate`. A notebook shows the list with its mentions marked.

    Args:
        rows: one dict per text and type; `doc_id` is the position of the text in what was given, from 0. Texts that
            could not be used have no dicts.
        texts: all texts that were given, in their order; None for a missing one.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = (), texts: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.texts = list(texts)

    def to_pandas(self) -> Any:
        """Return the same as a pandas DataFrame, one row per text and type."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def _repr_html_(self) -> str:
        return to_html(*marked_documents(self, limit=20))


def to_input_kind(annotations: pa.Table, data: Any, kind: Kind, texts: Sequence[str]) -> Any:
    """Return annotations in the kind of the input data.

    Args:
        annotations: id, kept columns, and `schemas.ANNOTATION_FIELDS`.
        data: what was annotated; of a Spark DataFrame the session makes the result.
        kind: its kind.
        texts: of strings all that were given, for showing; unused for the other kinds.

    Returns:
        `Annotations` for strings, an Arrow table also for Delta and Iceberg.
    """
    if kind is Kind.STRINGS:
        return Annotations(annotations.to_pylist(), texts)
    if kind is Kind.PANDAS:
        return annotations.to_pandas(integer_object_nulls=True)  # else an absent offset makes floats of all
    if kind in (Kind.ARROW, Kind.LAKE):
        return annotations
    if kind is Kind.HUGGINGFACE:
        from datasets import Dataset
        from datasets.table import InMemoryTable

        return Dataset(InMemoryTable(annotations.replace_schema_metadata()))
    return data.sparkSession.createDataFrame(_for_spark(annotations), schema=_spark_schema(annotations.schema))


def _for_spark(annotations: pa.Table) -> Any:
    """What `createDataFrame` takes: Spark 4 an Arrow table, Spark 3 rows."""
    import pyspark

    return annotations if int(pyspark.__version__.split(".")[0]) >= 4 else annotations.to_pylist()


def _spark_schema(schema: pa.Schema) -> Any:
    from uniner_dist.spark.types import spark_schema

    return spark_schema(schema)
