#!/usr/bin/env bash
# 32-bit integers whose neighbours lie further apart than 2^31, written by DuckDB as Parquet of version 2.
#
# Versions: duckdb 2.0.0, pyarrow 26.0.1, polars 2.1.0.
# Expected: pyarrow reads what DuckDB writes.
# Seen:     "Unexpected end of stream": DuckDB writes the differences of DELTA_BINARY_PACKED with 33 bits, where the format lets
#           them wrap around in the 32 bits of the column. DuckDB and polars read the file.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1 polars==2.1.0
cd "$place"
"$place/env/bin/python" - <<'PY'
import duckdb
import polars as pl
import pyarrow.parquet as pq

numbers = [0, 2147483647, -2147483648, 5]
values = ", ".join(f"({number})" for number in numbers)
duckdb.sql(f"COPY (SELECT n::INT AS n FROM (VALUES {values}) AS t(n)) TO 'n.parquet' (FORMAT parquet, PARQUET_VERSION V2)")


def by_pyarrow():
    try:
        return pq.ParquetFile("n.parquet").read()["n"].to_pylist()
    except OSError as error:
        return type(error).__name__


seen = {
    "encoding": pq.read_metadata("n.parquet").row_group(0).column(0).encodings,
    "duckdb": [row[0] for row in duckdb.sql("SELECT n FROM 'n.parquet'").fetchall()],
    "polars": pl.read_parquet("n.parquet")["n"].to_list(),
    "pyarrow": by_pyarrow(),
}
print(seen)
assert seen == {"encoding": ("DELTA_BINARY_PACKED",), "duckdb": numbers, "polars": numbers, "pyarrow": "OSError"}, (
    "the behaviour changed"
)
PY
