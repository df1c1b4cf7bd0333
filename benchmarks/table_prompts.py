"""The prompts stage over a table and over the same rows as Parquet, in turn, in one session.

    python -m benchmarks.table_prompts [ROWS] [REPEATS]

The corpus is that of `benchmarks.spark_stages` without its long document, in 16 files; the Delta table has the same 16
files' rows. Prints seconds of opening the run (which lists, and
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

ROWS, REPEATS, WARM_UP_ROWS = 1_000_000, 3, 50_000


def write_table(corpus: Path, table: Path) -> None:
    """The files of a folder as a Delta table, one append each."""
    for file in sorted(corpus.glob("*.parquet")):
        write_deltalake(str(table), pq.read_table(file), mode="append")


def main(rows: int = ROWS, repeats: int = REPEATS) -> None:
    """Measure and print."""
    silence_py4j()
    folder = Path(tempfile.mkdtemp())
    try:
        for name, count in (("warm-up", WARM_UP_ROWS), ("measured", rows)):
            write_corpus(folder / name / "Parquet", count, long_words=26)
            write_table(folder / name / "Parquet", folder / name / "Delta")
        run = open_over(folder / "measured/Parquet", folder / "none")
        with spark_session(run.config, quick=run.corpus_bytes < QUICK_BYTES) as spark:
            seconds: dict[str, list[float]] = {"Parquet": [], "Delta": []}
            for repeat in range(-1, repeats):
                part = "measured" if repeat >= 0 else "warm-up"
                for kind in ("Parquet", "Delta") if repeat % 2 else ("Delta", "Parquet"):
                    begin = time.perf_counter()
                    run = open_over(folder / part / kind, folder / "out" / kind)
                    opened = time.perf_counter()
                    summary = write_prompts(spark, run.under(1))
                    took = time.perf_counter() - begin
                    print(
                        f"{part} {kind}: {took:.1f} s, {opened - begin:.1f} of them to open it; "
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
