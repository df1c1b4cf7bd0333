#!/usr/bin/env bash
# Timestamps of Spark's in the year 290000, stored as INT96, which Spark still writes when it is told to.
#
# Versions: pyspark 4.3.0, pyarrow 26.0.1.
# Expected: with coerce_int96_timestamp_unit="us" pyarrow gives the microseconds that Spark wrote: they fit into 64 bits.
# Seen:     no error and another instant; the year 9999 comes out right.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY' 2>/dev/null
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

wrote = [253402225200000000, 9089380393200000000]  # in 9999 and in 290000
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
rows = spark.createDataFrame([(value,) for value in wrote], "n bigint").selectExpr("timestamp_micros(n) AS t")
rows.coalesce(1).write.parquet("t")
back = [row[0] for row in spark.read.parquet("t").selectExpr("unix_micros(t)").collect()]
spark.stop()
found = pq.read_table("t", coerce_int96_timestamp_unit="us")["t"].cast(pa.int64()).to_pylist()
print({"wrote": wrote, "spark": back, "pyarrow": found})
assert back == wrote
assert found[0] == wrote[0] and found[1] != wrote[1], "the behaviour changed"
PY
