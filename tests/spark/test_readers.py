"""The lines of docs/readers.md read an output right: folder values stay text, null folders are null."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from datasets import load_dataset
from pyspark.sql import SparkSession

from tests.support.published import marker_of, published, write_marker
from uniner_dist.spark.datasets import write_table
from uniner_dist.storage.filesystem import copy_file, find_files

pytestmark = pytest.mark.spark

PAGE = Path(__file__).parents[2] / "docs/readers.md"
ROWS = [
    ("a", "0501", "person"),
    ("b", "0501", "place"),
    ("c", None, "person"),
    ("d", "1e3", "person"),
    ("e", "", "person"),
]


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An output with folders that look like numbers, and one of null."""
    place = tmp_path_factory.mktemp("readers")
    staged, folder = str(place / "staged"), str(place / "annotations")
    rows = spark.createDataFrame(ROWS, "doc_id string, day string, entity_type string")
    write_table(rows.coalesce(1).sortWithinPartitions("day", "entity_type"), staged, ["day", "entity_type"])
    for file in find_files(staged, ".parquet"):  # as a publication does it
        copy_file(f"{staged}/{file}", f"{folder}/{file}")
    write_marker(folder, marker_of(a=published()).model_copy(update={"partition_by": ("day", "entity_type")}))
    return folder


def as_dicts(rows: Any) -> list[dict[str, Any]]:
    if hasattr(rows, "fetch_arrow_table"):
        rows = rows.fetch_arrow_table()
    if hasattr(rows, "to_dicts"):
        return rows.to_dicts()
    if hasattr(rows, "toPandas"):
        return [row.asDict() for row in rows.collect()]
    if hasattr(rows, "to_dict") and hasattr(rows, "iloc"):
        return [{k: v if isinstance(v, str) else None for k, v in row.items()} for row in rows.to_dict("records")]
    return rows.to_pylist() if isinstance(rows, pa.Table) else [dict(row) for row in rows]


def test_every_line_of_the_page_reads_the_output_right(spark: SparkSession, output: str) -> None:
    before = str(spark.conf.get("spark.sql.sources.partitionColumnTypeInference.enabled"))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"OUTPUT": output, "spark": spark}
    right = [{"doc_id": doc_id, "day": day or None, "entity_type": kind} for doc_id, day, kind in ROWS]
    try:
        for block in blocks:
            exec(block, names)
            found = as_dicts(names["frame"] if "frame =" in block else names["rows"])
            assert sorted(found, key=lambda row: row["doc_id"]) == right, block
    finally:
        spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", before)
    assert len(blocks) == 6


def test_every_reader_takes_the_bare_folder(spark: SparkSession, output: str) -> None:
    days = {"0501", "1e3", None}
    assert spark.read.parquet(output).count() == len(ROWS)
    by_polars = polars.read_parquet(output)
    assert (by_polars.columns, by_polars.height) == (["doc_id", "day", "entity_type"], len(ROWS))
    by_duckdb = duckdb.sql(f"SELECT DISTINCT day FROM '{output}/**/*.parquet'")
    assert {row[0] for row in by_duckdb.fetchall()} == days
    as_strings = polars.scan_parquet(output, hive_schema=dict.fromkeys(("day", "entity_type"), polars.String))
    assert set(as_strings.collect()["day"]) == days
    assert len(pandas.read_parquet(output, columns=["doc_id", "entity_type"])) == len(ROWS)
    assert load_dataset("parquet", data_dir=output, cache_dir=f"{output}.cache")["train"].num_rows == len(ROWS)
