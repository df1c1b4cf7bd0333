#!/usr/bin/env bash
# Spark's path patterns beside those of DuckDB and of Python.
#
# Versions: pyspark 4.3.0, duckdb 2.0.0, pyarrow 26.0.1; Java 17.
# Expected: `root/**/*.parquet` is every Parquet file at any depth; a hidden folder is left out however the root is named.
# Seen:     `**` means `*` to Spark: of three files at three depths it reads the one at depth 1, without a warning.
#           A folder `_old` is passed over when Spark is given `root`, and read when it is given `root/*`.
#           A file of 0 bytes is passed over although spark.sql.files.ignoreCorruptFiles is false.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 duckdb==2.0.0 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import os

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")


def spark_reads(path):
    return sorted(row["a"] for row in spark.read.parquet(os.path.abspath(path)).collect())


for number, path in enumerate(("deep/0.parquet", "deep/x/1.parquet", "deep/x/y/2.parquet")):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pq.write_table(pa.table({"a": [number]}), path)
by_duckdb = sorted(row[0] for row in duckdb.sql("from read_parquet('deep/**/*.parquet')").fetchall())
os.makedirs("root/_old")
pq.write_table(pa.table({"a": [1]}), "root/1.parquet")
pq.write_table(pa.table({"a": [2]}), "root/_old/2.parquet")
seen = [spark_reads("deep/**/*.parquet"), by_duckdb, spark_reads("root"), spark_reads("root/*")]
open("root/0.parquet", "w").close()
seen.append(spark_reads("root"))
print(seen)
assert seen == [[1], [0, 1, 2], [1], [1, 2], [1]], "the behaviour changed"
PY
