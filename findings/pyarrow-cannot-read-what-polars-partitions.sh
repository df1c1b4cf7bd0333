#!/usr/bin/env bash
# A dataset that Polars has partitioned, read by pyarrow and pandas with their defaults.
#
# Versions: polars 2.1.0, pyarrow 26.0.1, pandas 2.3.3.
# Expected: the rows.
# Seen:     Polars keeps the partition column inside the files, as a large string. pyarrow and pandas take the folder's
#           value for a (dictionary of) string and refuse to merge the two: ArrowTypeError, "Unable to merge".
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1 pandas==2.3.3
cd "$place"
"$place/env/bin/python" - <<'PY'
import glob

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

rows = pl.DataFrame({"id": [1, 2], "place": ["Oslo", "Rome"]})
rows.write_parquet(pl.PartitionBy("out", key="place"))
inside = pq.ParquetFile(glob.glob("out/place=Oslo/*")[0]).schema_arrow
assert inside.names == ["id", "place"] and inside.field("place").type == pa.large_string(), "the behaviour changed"
reads = {
    "pyarrow.dataset": lambda: pads.dataset("out", partitioning="hive").to_table(),
    "pyarrow.parquet": lambda: pq.read_table("out"),
    "pandas": lambda: pd.read_parquet("out"),
}
for name, read in reads.items():
    try:
        read()
    except pa.ArrowTypeError as error:
        print(name, error)
        assert "Unable to merge: Field place" in str(error)
    else:
        raise SystemExit(f"{name} reads it now: the behaviour changed")
PY
