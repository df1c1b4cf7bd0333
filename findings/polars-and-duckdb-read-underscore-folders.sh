#!/usr/bin/env bash
# A dataset in which an older copy is kept in a folder `_old`, which Spark, Hive and pyarrow pass over.
#
# Versions: polars 2.1.0, duckdb 2.0.0, pyarrow 26.0.1.
# Expected: the same rows for all readers of the folder.
# Seen:     Polars and DuckDB read `_old` too when they are given the folder: rows are doubled or outdated for them alone.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0 duckdb==2.0.0 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import os

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

os.makedirs("root/_old")
pq.write_table(pa.table({"a": [1]}), "root/1.parquet")
pq.write_table(pa.table({"a": [2]}), "root/_old/2.parquet")
seen = {
    "pyarrow": sorted(pads.dataset("root").to_table()["a"].to_pylist()),
    "polars": sorted(pl.read_parquet("root")["a"].to_list()),
    "duckdb": sorted(row[0] for row in duckdb.sql("from read_parquet('root')").fetchall()),
}
print(seen)
assert seen == {"pyarrow": [1], "polars": [1, 2], "duckdb": [1, 2]}, "the behaviour changed"
PY
