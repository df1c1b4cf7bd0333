#!/usr/bin/env bash
# A folder with a BIGINT file and, behind it, a DECIMAL(12, 2) file that stores its values as INT64, as Parquet allows.
#
# Versions: pyspark 4.3.0, duckdb 2.0.0, pyarrow 26.0.1; Java 17.
# Expected: 1.23 for the second file's only value, or an error (pyarrow's and Polars' way).
# Seen:     Spark gives 123 (the unscaled integer), DuckDB gives 1 (the fraction is cut off); neither warns.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 duckdb==2.0.0 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import os
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

os.makedirs("prices")
pq.write_table(pa.table({"price": pa.array([50], pa.int64())}), "prices/a.parquet")
decimals = pa.table({"price": pa.array([Decimal("1.23")], pa.decimal128(12, 2))})
pq.write_table(decimals, "prices/b.parquet", store_decimal_as_integer=True)

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
by_spark = sorted(row["price"] for row in spark.read.parquet(os.path.abspath("prices")).collect())
by_duckdb = sorted(row[0] for row in duckdb.sql("from read_parquet('prices/*.parquet')").fetchall())
try:
    by_pyarrow = pq.read_table("prices")["price"].to_pylist()
except pa.ArrowInvalid as error:
    by_pyarrow = str(error)
print({"spark": by_spark, "duckdb": by_duckdb, "pyarrow": by_pyarrow})
assert by_spark == [50, 123] and by_duckdb == [1, 50], "the behaviour changed"
assert by_pyarrow == "Rescaling Decimal value would cause data loss", "the behaviour changed"
PY
