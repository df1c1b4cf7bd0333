"""What a row of 2 GiB costs: peak memory of the driver, of Spark's JVM and of the task that reads the row.

    python -m benchmarks.large_row [BYTES]

Writes a corpus of some short texts and one of BYTES into a temporary folder (default: 2 GiB - 64 KiB; a page of Parquet
holds no more than 2 GiB), and runs the first stage over it in this process. Needs 3 GB of disk and 12 GB of memory.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.config.loading import load_config
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.session import spark_session

_SHORT = 1000
_EVERY_S = 0.05


def write_corpus(folder: Path, size: int) -> None:
    """One file, one row group: the large text between short ones."""
    schema = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(folder / "part-0.parquet", schema, use_dictionary=False, write_statistics=False) as writer:
        large = pa.array([b"a " * (size // 2)], pa.large_binary()).cast(pa.binary()).view(pa.string())
        short = pa.array([f"Ada met Bob {number} times." for number in range(_SHORT)])
        ids = pa.array([str(number) for number in range(_SHORT + 1)])
        texts = pa.chunked_array([short[:500], large, short[500:]])
        writer.write_table(pa.table([pa.chunked_array([ids]), texts], schema=schema), row_group_size=_SHORT + 1)


@contextmanager
def peaks() -> Iterator[dict[str, int]]:
    """Largest resident memory of this process, of the JVM and of one Python task, in bytes, while the block runs."""
    found, done, own = dict.fromkeys(("driver", "jvm", "task"), 0), threading.Event(), psutil.Process()

    def look() -> None:
        while not done.wait(_EVERY_S):
            for process in (own, *own.children(recursive=True)):
                try:
                    name = "driver" if process == own else "jvm" if process.name() == "java" else "task"
                    found[name] = max(found[name], process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def main(size: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        # In a process of its own, so that its memory is not counted here.
        writer = multiprocessing.get_context("spawn").Process(target=write_corpus, args=(corpus, size))
        writer.start()
        writer.join()
        config = load_config(None, (), {"corpus.path": str(corpus), "output.path": f"{folder}/out", "types": "person"})
        start = psutil.Process().memory_info().rss
        with peaks() as opening:
            run = open_run(config)
        with peaks() as found, spark_session(config) as spark:
            summary = write_prompts(spark, run.under(1))
        print(f"rows {summary.rows}, documents {summary.documents}, rejected {summary.rejects}")
        print(f"before: {start / 1e9:.2f} GB; opening the run: driver {opening['driver'] / 1e9:.2f} GB")
        print("first stage: " + ", ".join(f"{name} {peak / 1e9:.2f} GB" for name, peak in found.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2**31 - 65536)
