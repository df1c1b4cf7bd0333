#!/usr/bin/env bash
# A string column with the value '' as a partition column: one dataset written by pyarrow, one by DuckDB, one by Spark.
#
# Versions: pyspark 4.3.0, pyarrow 26.0.1, duckdb 2.0.0; Java 17.
# Expected: each reads what another wrote, and '' stays ''.
# Seen:     pyarrow and DuckDB write the folder `place=`, for which Spark refuses the whole dataset
#           (EMPTY_PARTITION_COLUMN_VALUE). Spark itself writes '' into the folder of nulls, and reads it back as null.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 pyarrow==26.0.1 duckdb==2.0.0
cd "$place"
"$place/env/bin/python" - <<'PY'
import os

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

rows = pa.table({"id": [1, 2], "place": ["", "Oslo"]})
pq.write_to_dataset(rows, "by-pyarrow", partition_cols=["place"])
duckdb.sql("copy (from rows) to 'by-duckdb' (format parquet, partition_by (place))")

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
seen = {}
for name in ("by-pyarrow", "by-duckdb"):
    try:
        seen[name] = spark.read.parquet(os.path.abspath(name)).count()
    except Exception as error:
        seen[name] = str(error).split("]")[0] + "]"
spark.createDataFrame([(1, ""), (2, "Oslo")], "id int, place string").write.partitionBy("place").parquet("by-spark")
seen["by-spark"] = sorted((row["id"], row["place"]) for row in spark.read.parquet("by-spark").collect())
print(seen)
refused = "[EMPTY_PARTITION_COLUMN_VALUE]"
assert seen == {"by-pyarrow": refused, "by-duckdb": refused, "by-spark": [(1, None), (2, "Oslo")]}, "changed"
PY
