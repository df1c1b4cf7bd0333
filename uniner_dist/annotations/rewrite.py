"""Rewrites output files without the rows that a run replaces; Spark finds these rows.

Finds, in the output, every file with a row that is replaced or whose document is gone, and writes a carry-over file to
the run's folder with exactly its other rows; columns, order and metadata are unchanged. The output itself is only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
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
from uniner_dist.storage.attempts import new_attempt
from uniner_dist.storage.filesystem import join, open_fs, read_bytes, write_bytes
from uniner_dist.storage.parquet_rows import without_rows

#: Result for one file of the output.
_REWRITTEN = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # relative to the output
        pa.field("carried", pa.string()),  # path of the carry-over file; null when no row stays
        pa.field("kept", pa.int64(), nullable=False),
        *(pa.field(name, pa.int64(), nullable=False) for name in ("replaced", "removed", "edited", "claimed")),
        pa.field("runs", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class RewrittenFile:
    """One file with rows of the run's documents, or of documents that are gone.

    It (`file`, relative to the output) is replaced by `source`, or removed if that is None; unless `changed` is false:
    then all of its rows stay.

    Attributes:
        kept: rows that stay.
        replaced: rows of documents and labels of this run.
        removed: rows of documents that are gone.
        edited: rows of this run's documents with labels that it does not ask, which go.
        claimed: rows of documents of this run or of runs over its corpus, whether they stay or go.
        runs: ids of the runs that published its rows.
    """

    file: str
    source: str | None
    kept: int
    replaced: int
    removed: int
    edited: int
    claimed: int
    runs: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RewrittenFile:
        """Return the entry for a row of `_REWRITTEN`.

        Args:
            row: column name → value.
        """
        return cls(
            row["file"],
            row["carried"],
            row["kept"],
            row["replaced"],
            row["removed"],
            row["edited"],
            row["claimed"],
            tuple(row["runs"]),
        )

    @property
    def changed(self) -> bool:
        """Whether any row is removed."""
        return bool(self.replaced + self.removed + self.edited)


def rewrite_files(
    spark: SparkSession, run: Run, ids: DataFrame, folder: str, selection: Sequence[str] | None
) -> list[RewrittenFile]:
    """Rewrite every file of the output that holds rows which do not stay.

    Of a document of this run, rows of its labels go, as they are written again; rows of other labels go if they were
    made of another text, or if `output.other_types` is "remove". Of another document all rows go if `selection` says
    so.

    Args:
        spark: session whose tasks read and rewrite the affected files.
        run: the run to be published; its id goes into the names of the rewritten files.
        ids: `id` and `text_digest` of this run's documents.
        folder: where the carry-over files go.
        selection: runs whose rows go when their document is not among `ids`; None means all runs.

    Returns:
        One entry per file that has rows of this run's documents, or rows that go.
    """
    affected = _affected_rows(spark, run, ids, selection)
    rewriter = FileRewriter(run.config.output.path, folder, run.id)
    rows = map_in_arrow(affected, rewriter, spark_schema(_REWRITTEN)).collect()  # one row per file
    return [RewrittenFile.of(row.asDict()) for row in rows]


def _affected_rows(spark: SparkSession, run: Run, ids: DataFrame, selection: Sequence[str] | None) -> DataFrame:
    """Per file: `file`, `rows` (the positions of those that go), the counts of `_REWRITTEN`, and `runs`."""
    id_column = run.config.corpus.id_column
    names = [StructField(name, StringType()) for name in ("entity_type", "run_id", "text_digest")]
    schema = StructType([StructField(id_column, ids.schema["id"].dataType), *names])
    output = read_table(spark, run.config.output.path, schema, location=True)
    rows = output.select(
        column(id_column).alias("id"),
        "file",
        "row",
        "run_id",
        F.col("entity_type").isin(*[entity_type.label for entity_type in run.config.types]).alias("asked"),
        F.col("text_digest").alias("digest"),
        (F.lit(True) if selection is None else F.col("run_id").isin(*selection)).alias("selected"),
    )
    own = ids.select("id", F.col("text_digest").alias("own"))
    ours, asked = F.col("own").isNotNull(), F.col("asked")
    # Rows of older versions have no digest; their text is unknown, so they stay.
    edited = F.lit(True) if run.config.output.other_types == "remove" else F.col("digest") != F.col("own")
    kinds = {
        "replaced": ours & asked,
        "removed": ~ours & F.col("selected"),
        "edited": ours & ~asked & F.coalesce(edited, F.lit(False)),
    }
    goes = kinds["replaced"] | kinds["removed"] | kinds["edited"]
    return (
        rows.join(own, "id", "left")
        .where(ours | F.col("selected"))
        .groupBy("file")
        .agg(
            F.collect_list(F.when(goes, F.col("row"))).alias("rows"),
            *[F.count_if(kind).alias(name) for name, kind in kinds.items()],
            F.count("*").alias("claimed"),
            F.collect_set("run_id").alias("runs"),
        )
    )


class FileRewriter:
    """The function that Spark runs over Arrow batches of (`file`, `rows`, counts); yields rows of `_REWRITTEN`."""

    def __init__(self, output: str, folder: str, run_id: str) -> None:
        self._output = output
        self._folder = folder
        self._run_id = run_id

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one row of counts per file, which is rewritten without the `rows` (positions) that go."""
        attempt = new_attempt()  # the journal names the files of the attempts that count
        for batch in batches:
            counts = batch.select([name for name in batch.schema.names if name not in ("file", "rows")]).to_pylist()
            for file, rows, counted in zip(batch.column("file"), batch.column("rows"), counts, strict=True):
                result = self._rewrite(relative_to(self._output, file.as_py()), rows.values.to_numpy(), attempt)
                yield pa.RecordBatch.from_pylist([counted | result], schema=_REWRITTEN)

    def _rewrite(self, file: str, rows: Sequence[int], attempt: str) -> dict[str, object]:
        if not len(rows):
            return {"file": file, "carried": None, "kept": 0}
        data, kept = without_rows(read_bytes(join(self._output, file)), rows)
        target = None
        if kept:
            name = f"part-{self._run_id}-{hashlib.sha256(file.encode()).hexdigest()[:12]}-{attempt}.parquet"
            target = join(self._folder, *file.split("/")[:-1], name)
            write_bytes(target, data)
        return {"file": file, "carried": target, "kept": kept}


def relative_to(output: str, file: str) -> str:
    """Return a file's path relative to the output folder.

    Args:
        output: path or URL of the published dataset.
        file: one of its files as Spark names it: a URL with percent signs.

    Raises:
        ValueError: the file is not in the output.
    """
    root = open_fs(output)[1].strip("/") + "/"
    path = unquote(file)
    return path[path.index(root) + len(root) :]
