#!/usr/bin/env bash
# A Delta table that is partitioned by a column with an empty string, written and read back by the same deltalake.
#
# Versions: deltalake 1.6.6, pyarrow 26.0.1.
# Expected: both of its readers give the same rows. (The protocol says that an empty partition value is null.)
# Seen:     the writer puts "" into the log; `DeltaTable.scan()` gives '' and `DeltaTable.to_pyarrow_table()` null.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

write_deltalake("t", pa.table({"id": [1, 2, 3], "day": ["", None, "x"]}), partition_by=["day"])
table = DeltaTable("t")
for name, rows in {"scan": pa.table(table.scan()), "to_pyarrow_table": table.to_pyarrow_table()}.items():
    days = [row["day"] for row in sorted(rows.to_pylist(), key=lambda row: row["id"])]
    print(f"{name}: {days}")
    expected = ["", None, "x"] if name == "scan" else [None, None, "x"]
    assert days == expected, "the behaviour changed"
PY
