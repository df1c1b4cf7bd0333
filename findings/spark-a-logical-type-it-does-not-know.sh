#!/usr/bin/env bash
# A Parquet file in which one column has a logical type that is newer than the reader, or reserved.
#
# Versions: pyspark 4.3.0 (parquet-mr inside), pyarrow 26.0.1, duckdb 2.0.0.
# Expected: as with DuckDB and pyarrow, which give the other columns, and the bytes of that one.
# Seen:     Spark reads no column of the file: NullPointerException while it reads the footer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0 pyarrow==26.0.1 duckdb==2.0.0
cd "$place"
"$place/env/bin/python" - <<'PY' 2>/dev/null
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

pq.write_table(pa.table({"n": ["a", "b"], "o": ["c", "d"]}), "n.parquet", store_schema=False)
# The union of logical types: member 1 is the string, 9 is reserved. Thrift's compact form has the number in half a byte.
data = Path("n.parquet").read_bytes()
assert data.count(b"\x01o\x25\x00\x4c\x1c") == 1
Path("n.parquet").write_bytes(data.replace(b"\x01o\x25\x00\x4c\x1c", b"\x01o\x25\x00\x4c\x9c"))


def by_spark():
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        return [row["n"] for row in spark.read.schema("n string").parquet("n.parquet").collect()]
    except Exception as error:
        return "NullPointerException" if "NullPointerException" in str(error) else type(error).__name__
    finally:
        spark.stop()


seen = {
    "pyarrow": pq.read_table("n.parquet")["n"].to_pylist(),
    "duckdb": [row[0] for row in duckdb.sql("SELECT n FROM 'n.parquet'").fetchall()],
    "spark": by_spark(),
}
print(seen)
assert seen == {"pyarrow": ["a", "b"], "duckdb": ["a", "b"], "spark": "NullPointerException"}, "the behaviour changed"
PY
