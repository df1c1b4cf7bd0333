#!/usr/bin/env bash
# A program that reads Parquet by pyarrow.dataset and has nothing to do with pandas, which is installed for others.
#
# Versions: pyarrow 26.0.1, pandas 2.3.3.
# Expected: pandas is imported when something is converted to it, as after `import pyarrow` and `import pyarrow.parquet`.
# Seen:     `import pyarrow.dataset` imports pandas, which takes several times the CPU of the import where there is none.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for name in with without; do
    python3 -m venv "$place/$name"
    "$place/$name/bin/pip" install -q --disable-pip-version-check pyarrow==26.0.1
done
"$place/with/bin/pip" install -q --disable-pip-version-check pandas==2.3.3
cd "$place"
cat >ask.py <<'PY'
import importlib
import sys
import time

begun = time.process_time()
importlib.import_module(sys.argv[1])
print(int("pandas" in sys.modules), f"{time.process_time() - begun:.2f} s of CPU")
PY
seen=""
for module in pyarrow pyarrow.parquet pyarrow.dataset; do
    for name in with without; do
        "$name/bin/python" ask.py "$module" >said # with bytecode from here on
        "$name/bin/python" ask.py "$module" >said
        echo "$module, $name pandas: imports it: $(cat said)"
        seen+=$(cut -c1 said)
    done
done
[[ $seen == 000010 ]] || { echo "the behaviour changed: $seen"; exit 1; }
