#!/usr/bin/env bash
# A folder whose first Parquet file stores a column as INT16 and whose second as INT32, read by Spark with its defaults.
#
# Versions: pyspark 4.3.0, pyarrow 26.0.1, duckdb 2.0.0, polars 2.1.0; Java 17.
# Expected: [1, 70000], or an error.
# Seen:     Spark takes the first footer's type for all files and gives [1, 4464] without a warning: 70000 modulo 65536.
#           An UINT64 file behind an INT64 one turns 9223372036854775809 into -9223372036854775807 in the same way.
#           pyarrow, DuckDB and Polars raise an error for both.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 pyarrow==26.0.1 duckdb==2.0.0 polars==2.1.0
cd "$place"
"$place/env/bin/python" - <<'PY'
import os

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")


def refuses(read):
    try:
        read()
    except Exception:
        return True
    return False


pairs = {
    "widths": (pa.array([1], pa.int16()), pa.array([70000], pa.int32())),
    "signs": (pa.array([1], pa.int64()), pa.array([9223372036854775809], pa.uint64())),
}
seen = {}
for name, (first, second) in pairs.items():
    os.makedirs(name)
    # Dictionary pages of unsigned integers are refused by Spark, plain ones are not.
    pq.write_table(pa.table({"id": first}), f"{name}/a.parquet", use_dictionary=False)
    pq.write_table(pa.table({"id": second}), f"{name}/b.parquet", use_dictionary=False)
    seen[name] = sorted(row["id"] for row in spark.read.parquet(os.path.abspath(name)).collect())
    assert refuses(lambda: pq.read_table(name)), "pyarrow"
    assert refuses(lambda: duckdb.sql(f"from read_parquet('{name}/*.parquet')").fetchall()), "duckdb"
    assert refuses(lambda: pl.read_parquet(f"{name}/*.parquet")), "polars"
print(seen)
assert seen == {"widths": [1, 4464], "signs": [-9223372036854775807, 1]}, "the behaviour changed"
PY
