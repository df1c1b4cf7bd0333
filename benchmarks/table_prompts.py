"""The prompts stage over a table and over the same rows as Parquet, in turn, in one session.

    python -m benchmarks.table_prompts [ROWS] [REPEATS]

The corpus is that of `benchmarks.spark_stages` without its long document, in 16 files; the Delta table has the
rows of the same 16 files. Prints seconds of opening the run (which lists, and
reads footers or the log) and of the stage, of each repeat, and the ratio of the medians.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import write_deltalake

from benchmarks.spark_stages.workload import open_over, write_corpus
from uniner_dist.pipeline.spark_for import silence_py4j
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.session import QUICK_BYTES, spark_session

ROWS, REPEATS = 1_000_000, 5


def write_table(corpus: Path, table: Path) -> None:
    """The files of a folder as a Delta table, one append each."""
    for file in sorted(corpus.glob("*.parquet")):
        write_deltalake(str(table), pq.read_table(file), mode="append")


def main(rows: int = ROWS, repeats: int = REPEATS) -> None:
    """Measure and print."""
    silence_py4j()
    folder = Path(tempfile.mkdtemp())
    try:
        write_corpus(folder / "Parquet", rows, long_words=26)
        write_table(folder / "Parquet", folder / "Delta")
        run = open_over(folder / "Parquet", folder / "none")
        with spark_session(run.config, quick=run.corpus_bytes < QUICK_BYTES) as spark:
            seconds: dict[str, list[float]] = {"Parquet": [], "Delta": []}
            for repeat in range(-2, repeats):  # the first two of each warm up
                for kind in ("Parquet", "Delta") if repeat % 2 else ("Delta", "Parquet"):
                    begin = time.perf_counter()
                    run = open_over(folder / kind, folder / "out" / kind)
                    opened = time.perf_counter()
                    summary = write_prompts(spark, run.under(1))
                    took = time.perf_counter() - begin
                    print(
                        f"{kind}: {took:.1f} s, {opened - begin:.1f} of them to open it; "
                        f"{summary['rows']:,} rows, {summary['prompts']:,} prompts",
                        flush=True,
                    )
                    shutil.rmtree(folder / "out", ignore_errors=True)
                    for left in folder.glob("out*"):
                        shutil.rmtree(left)
                    if repeat >= 0:
                        seconds[kind].append(took)
        medians = {kind: statistics.median(values) for kind, values in seconds.items()}
        print(f"medians: {medians}; Delta / Parquet: {medians['Delta'] / medians['Parquet']:.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
