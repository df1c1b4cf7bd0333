"""The prompts stage over tables and over the same rows as Parquet, in turn, in one session.

    python -m benchmarks.table_prompts [ROWS] [REPEATS] [FILES]

The corpus is that of `benchmarks.spark_stages` without its long document, in 16 files; the Delta table has the
rows of the same 16 files. With FILES, the rows are in so many files, and an Iceberg table of them is measured too.
Prints seconds of opening the run (which lists, and reads footers or the log) and of the stage, of each repeat, and the
ratios of the medians.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction, RemoveAction

from benchmarks.spark_stages.workload import open_over, write_corpus
from uniner_dist.pipeline.spark_for import silence_py4j
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.spark.session import QUICK_BYTES, spark_session

ROWS, REPEATS = 1_000_000, 5


def write_table(corpus: Path, table: Path) -> None:
    """The files of a folder as a Delta table, one append each."""
    for file in sorted(corpus.glob("*.parquet")):
        write_deltalake(str(table), pq.read_table(file), mode="append")


def split(corpus: Path, files: int) -> None:
    """The rows of a folder in so many files."""
    rows = pa.concat_tables(pq.read_table(file) for file in sorted(corpus.glob("*.parquet")))
    shutil.rmtree(corpus)
    corpus.mkdir()
    borders = np.linspace(0, rows.num_rows, files + 1).astype(int)
    for number, (begin, end) in enumerate(pairwise(borders)):
        pq.write_table(rows.slice(begin, end - begin), corpus / f"part-{number:05d}.parquet")


def delta_over(corpus: Path, folder: Path) -> Path:
    """A Delta table of copies of a folder's files, which one commit adds."""
    shutil.copytree(corpus, folder)
    schema = pq.read_schema(next(corpus.glob("*.parquet")))
    table = DeltaTable.create(str(folder), schema=schema)
    added: list[AddAction | RemoveAction] = [
        AddAction(file.name, file.stat().st_size, {}, 0, True, "{}") for file in sorted(corpus.glob("*.parquet"))
    ]
    table.create_write_transaction(added, "append", table.schema(), [])
    return folder


def iceberg_over(corpus: Path, folder: Path) -> Path:
    """An Iceberg table of a folder's files, which one snapshot adds; its metadata."""
    from pyiceberg.catalog.sql import SqlCatalog

    folder.mkdir()
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", schema=pq.read_schema(next(corpus.glob("*.parquet"))))
    table.add_files([f"file://{file}" for file in sorted(corpus.glob("*.parquet"))])
    return Path(table.metadata_location.removeprefix("file://"))


def main(rows: int = ROWS, repeats: int = REPEATS, files: int | None = None) -> None:
    """Measure and print."""
    silence_py4j()
    folder = Path(tempfile.mkdtemp())
    try:
        write_corpus(folder / "Parquet", rows, long_words=26)
        places = {"Parquet": folder / "Parquet", "Delta": folder / "Delta"}
        if files is None:
            write_table(places["Parquet"], places["Delta"])
        else:
            split(places["Parquet"], files)
            delta_over(places["Parquet"], places["Delta"])
            places["Iceberg"] = iceberg_over(places["Parquet"], folder / "Iceberg")
        measure(folder, places, repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, places: dict[str, Path], repeats: int) -> None:
    """Run the stage over each in turn, and print."""
    run = open_over(places["Parquet"], folder / "none")
    seconds: dict[str, list[float]] = {kind: [] for kind in places}
    rows: set[tuple[int, int]] = set()
    with spark_session(run.config, quick=run.corpus_bytes < QUICK_BYTES) as spark:
        for repeat in range(-2, repeats):  # the first two of each warm up
            for kind in places if repeat % 2 else reversed(places):
                begin = time.perf_counter()
                run = open_over(places[kind], folder / "out" / kind)
                opened = time.perf_counter()
                summary = write_prompts(spark, run.under(1))
                took = time.perf_counter() - begin
                rows.add((summary.rows, summary.prompts))
                print(
                    f"{kind}: {took:.1f} s, {opened - begin:.1f} of them to open it; "
                    f"{summary.rows:,} rows, {summary.prompts:,} prompts",
                    flush=True,
                )
                for left in folder.glob("out*"):
                    shutil.rmtree(left)
                if repeat >= 0:
                    seconds[kind].append(took)
    assert len(rows) == 1, f"rows and prompts differ: {rows}"
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratios = ", ".join(f"{kind} / Parquet: {medians[kind] / medians['Parquet']:.2f}" for kind in list(medians)[1:])
    print(f"medians: {medians}; {ratios}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
