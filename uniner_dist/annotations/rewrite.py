"""Rows that stay when a run replaces others in the same file: found by Spark, the file rewritten without the rest.

Enters: the output as it stands, this run's documents, and the runs whose rows go with documents that are gone. Leaves:
for every file that holds a row to go, a carry-over file in the run's folder with exactly the other rows, its columns,
order and metadata untouched. The output itself is only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from uniner_dist.run.run import Run
from uniner_dist.spark.datasets import map_in_arrow, read_table
from uniner_dist.spark.types import column, spark_schema
from uniner_dist.storage.filesystem import join, open_fs, read_bytes, write_bytes
from uniner_dist.storage.parquet_rows import without_rows

#: What became of one file of the output.
_CARRIED = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # relative to the output
        pa.field("carried", pa.string()),  # path of the carry-over file; null when no row stays
        pa.field("kept", pa.int64(), nullable=False),
        pa.field("replaced", pa.int64(), nullable=False),
        pa.field("removed", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Carried:
    """One affected file: `file` (relative to the output) gives way to `source`, or to nothing.

    Of its rows, `kept` stay, `replaced` are of documents of this run, and `removed` are of documents that are gone.
    """

    file: str
    source: str | None
    kept: int
    replaced: int
    removed: int


def carry_over(
    spark: SparkSession, run: Run, ids: DataFrame, folder: str, selection: Sequence[str] | None
) -> list[Carried]:
    """Rewrite every file of the output that holds rows of this run's labels that do not stay.

    Args:
        ids: one column `id`, the documents of this run.
        folder: where the carry-over files go.
        selection: runs whose rows go also when their document is not among `ids`; None means all runs.

    Returns:
        One entry per affected file.
    """
    affected = _affected_rows(spark, run, ids, selection)
    rewriter = FileRewriter(run.config.output.path, folder, run.id)
    rows = map_in_arrow(affected, rewriter, spark_schema(_CARRIED)).collect()  # one row per file
    return [Carried(*(row[field.name] for field in _CARRIED)) for row in rows]


def _affected_rows(spark: SparkSession, run: Run, ids: DataFrame, selection: Sequence[str] | None) -> DataFrame:
    """`file`, `rows`, `removed`: per affected file the positions of rows that go, and how many come not back."""
    id_column = run.config.corpus.id_column
    names = StructField("entity_type", StringType()), StructField("run_id", StringType())
    schema = StructType([StructField(id_column, ids.schema["id"].dataType), *names])
    output = read_table(spark, run.config.output.path, schema, location=True)
    labels = [entity_type.label for entity_type in run.config.types]
    rows = output.where(F.col("entity_type").isin(*labels)).select(
        column(id_column).alias("id"),
        "file",
        "row",
        (F.lit(True) if selection is None else F.col("run_id").isin(*selection)).alias("selected"),
    )
    ours = F.col("ours").isNotNull()
    found = rows.join(ids.select("id", F.lit(True).alias("ours")), "id", "left").where(ours | F.col("selected"))
    return found.groupBy("file").agg(F.collect_list("row").alias("rows"), F.count_if(~ours).alias("removed"))


class FileRewriter:
    """The function that Spark runs over Arrow batches of (`file`, `rows`, `removed`); yields rows of `_CARRIED`."""

    def __init__(self, output: str, folder: str, run_id: str) -> None:
        self._output = output
        self._folder = folder
        self._run_id = run_id

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file, rows, removed in zip(*(batch.column(name) for name in ("file", "rows", "removed")), strict=True):
                result = self._rewrite(relative_to(self._output, file.as_py()), rows.values.to_numpy())
                result |= {"replaced": len(rows) - removed.as_py(), "removed": removed.as_py()}
                yield pa.RecordBatch.from_pylist([result], schema=_CARRIED)

    def _rewrite(self, file: str, rows: Sequence[int]) -> dict[str, Any]:
        data, kept = without_rows(read_bytes(join(self._output, file)), rows)
        target = None
        if kept:
            name = f"part-{self._run_id}-{hashlib.sha256(file.encode()).hexdigest()[:12]}.parquet"
            target = join(self._folder, *file.split("/")[:-1], name)
            write_bytes(target, data)
        return {"file": file, "carried": target, "kept": kept}


def relative_to(output: str, file: str) -> str:
    """A file as Spark names it (a URL with percent signs), relative to the output folder."""
    root = open_fs(output)[1].strip("/") + "/"
    path = unquote(file)
    return path[path.index(root) + len(root) :]
