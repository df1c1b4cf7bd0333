#!/usr/bin/env bash
# An exception inside `with fs.open(path, "wb")` on an S3 server, while a Parquet file is written.
#
# Versions: s3fs 2026.9.0, moto 5.2.5, pyarrow 26.0.1.
# Expected: nothing is published, as the block did not end well.
# Seen:     the file object is closed on the way out, which completes the upload; the Parquet writer closes before it and
#           writes a footer. The object is there, readable, and holds one of two row groups.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check "s3fs==2026.9.0" "moto[server]==5.2.5" pyarrow==26.0.1
cd "$place"
"$place/env/bin/python" - <<'PY'
import logging
import os

os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1")
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
files = fsspec.filesystem("s3", endpoint_url=f"http://{host}:{port}")
files.mkdir("bucket")
try:
    with files.open("bucket/rows.parquet", "wb") as stream, pq.ParquetWriter(stream, pa.schema({"a": pa.int64()})) as rows:
        rows.write_table(pa.table({"a": [1]}))
        raise RuntimeError("the second row group could not be made")
except RuntimeError:
    pass
with files.open("bucket/rows.parquet", "rb") as stream:
    seen = pq.read_table(stream).to_pylist()
server.stop()
print(seen)
assert seen == [{"a": 1}], "the behaviour changed"
PY
