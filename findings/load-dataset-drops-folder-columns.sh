#!/usr/bin/env bash
# A Hive-partitioned Parquet folder, as Spark writes them, given to Hugging Face datasets.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1.
# Expected: the partition column is a column of the dataset, as for pyarrow, Spark, DuckDB and pandas.
# Seen:     it is missing, without a warning, by folder name and by `data_dir` alike: rows of all types look the same.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
cd "$place"
HF_HUB_OFFLINE=1 HF_HOME="$place/hub" "$place/env/bin/python" - <<'PY'
import os

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

datasets.disable_progress_bars()
rows = pa.table({"doc_id": [1, 1], "entity_type": ["person", "city"]})
pq.write_to_dataset(rows, "out", partition_cols=["entity_type"])
assert pq.read_table("out").column_names == ["doc_id", "entity_type"]
by_name = datasets.load_dataset(os.path.abspath("out"), cache_dir="cache", split="train")
by_data_dir = datasets.load_dataset("parquet", data_dir=os.path.abspath("out"), cache_dir="cache", split="train")
print(by_name.column_names, by_data_dir.column_names)
assert by_name.column_names == by_data_dir.column_names == ["doc_id"], "the behaviour changed"
PY
