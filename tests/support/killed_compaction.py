"""A compaction with Spark that ends in the middle, in a process of its own: `python -m … STORE (change|file) NUMBER`.

`change` ends it just before that change of the file system by the driver (from 0), `file` once its tasks have written
so many files. Nothing of the process goes on; its JVM and Spark's Python workers notice and leave.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tests.support.crash_points import KILLED, arm
from uniner_dist.cli.maintenance import run_compact
from uniner_dist.storage.answer_store import COMPACTED


def _end_when_written(store: str, files: int) -> None:
    before = set(Path(store).rglob(f"{COMPACTED}*"))
    while len(set(Path(store).rglob(f"{COMPACTED}*")) - before) < files:
        time.sleep(0.001)
    os._exit(KILLED)


def main(store: str, kind: str, number: int) -> None:
    """Run it."""
    if kind == "change":
        arm(number)
    else:
        threading.Thread(target=_end_when_written, args=(store, number), daemon=True).start()
    run_compact(None, store, 0, "local[1]", print)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
