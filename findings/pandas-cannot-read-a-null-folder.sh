#!/usr/bin/env bash
# A partition column with a null, written and read back by the same pyarrow, once through pandas.
#
# Versions: pandas 2.3.3, pyarrow 26.0.1.
# Expected: pandas gives the two rows.
# Seen:     pyarrow's own readers give them; `pandas.read_parquet` of the same folder raises ArrowInvalid
#           ("Cannot yet unify dictionaries with nulls"), as it asks pyarrow for dictionaries of folder values.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pandas==2.3.3 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_to_dataset(pa.table({"id": [1, 2], "place": [None, "Oslo"]}), "out", partition_cols=["place"])
by_pyarrow = sorted(pq.read_table("out").to_pylist(), key=lambda row: row["id"])
assert by_pyarrow == [{"id": 1, "place": None}, {"id": 2, "place": "Oslo"}], "the behaviour changed"
try:
    print(pd.read_parquet("out"))
except pa.ArrowInvalid as error:
    print("pandas:", error)
    assert "unify dictionaries with nulls" in str(error), "the behaviour changed"
else:
    raise SystemExit("pandas reads it now: the behaviour changed")
PY
