"""Write the dataset card of an output, from its marker and counts of its rows.

It is stored next to the output and not inside, where readers of Parquet folders would take it for a broken data file;
uploaded together with the output's files it becomes the card of the dataset (see `uniner_dist.annotations.card_text`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from uniner_dist.annotations.card_text import Statistics, render_card
from uniner_dist.annotations.publication import new_marker
from uniner_dist.run.run import Run
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.types import column
from uniner_dist.storage.commit import WAIT_S
from uniner_dist.storage.control_files import AnnotationsSummary, read_control
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.stage_files import counting


def write_card(spark: SparkSession, run: Run) -> str:
    """Rewrite the card of the run's output.

    Rows are counted by Spark, unless this run is the only one in the output: then its summary has the counts.

    Args:
        spark: session that counts the rows of the output.
        run: a published run; its configuration names the output and the languages of the texts.

    Returns:
        Path or URL of the card, next to the output.

    Raises:
        RunHeldError: another process changes the output and does not finish within `WAIT_S` seconds.
    """
    output = run.config.output.path
    card = OutputLayout(output).card
    with hold_lease(OutputLayout(output), wait_s=WAIT_S):
        marker = read_marker(output) or new_marker(run)
        alone = list(marker.runs) == [run.id]
        with stage(spark, "card"):
            statistics = _of_run(run) if alone else _of_output(spark, run)
        text = render_card(output.rstrip("/").rsplit("/", 1)[-1], marker, statistics, run.config.output.language)
        write_bytes(card, text.encode())
    return card


def _of_run(run: Run) -> Statistics:
    summary = read_control(run.layout.annotations_summary, AnnotationsSummary)
    return Statistics(summary.documents, summary.by_type, summary.mentions)


def _of_output(spark: SparkSession, run: Run) -> Statistics:
    describe(spark, "count the output's rows")
    rows = _read_output(spark, run)
    counts = rows.groupBy("entity_type", "outcome").agg(
        F.count("*").alias("rows"), F.sum(F.size("entities")).alias("n")
    )
    by_type: dict[str, dict[str, int]] = {}
    mentions: Counter[str] = Counter()
    for row in counts.orderBy("entity_type").collect():  # one row per label and outcome
        by_type.setdefault(row["entity_type"], {})[row["outcome"]] = row["rows"]
        mentions[row["entity_type"]] += row["n"]
    return Statistics(rows.select("id").distinct().count(), by_type, mentions)


def _read_output(spark: SparkSession, run: Run) -> DataFrame:
    id_column = run.config.corpus.id_column
    occurrences = read_table(spark, counting(run.layout.occurrences))
    document: Any = occurrences.schema["document"].dataType
    entities = ArrayType(StructType([StructField("start", IntegerType())]))
    fields = [StructField(id_column, document[id_column].dataType), StructField("entities", entities)]
    schema = StructType([*fields, *(StructField(name, StringType()) for name in ("entity_type", "outcome"))])
    rows = read_table(spark, run.config.output.path, schema)
    return rows.select(column(id_column).alias("id"), "entity_type", "outcome", "entities")
