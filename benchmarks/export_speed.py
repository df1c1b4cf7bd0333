"""`export --format conll` and bare Spark side by side, writing the same bytes: time of each.

    python -m benchmarks.export_speed --documents 1000000 --types 13 --work FOLDER

Makes a corpus and annotations of documents of 24 tokens with up to three mentions, as `evaluate_speed.py` does, and
runs, each in a process and a local Spark session of its own with the same settings:

- `export`: the command.
- `bare`: the barest Spark job with the same input and output: it reads the annotations and the texts, brings the rows
  of a document together with the one shuffle that this costs, and writes the text of each with `write.text`, where
  the blocks of lines that `export` wrote are a column of the corpus already: no tokens, no tags, no checks.
- `write`: only reads these blocks and writes them. This is the disk, not the work.

Prints seconds and CPU seconds of each, of Java and of Python's workers too, without the start of the session.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.evaluate_speed import _TOKENS, _WORDS, spans, write

_SIDES = ("export", "bare", "write")


def write_texts(folder: Path, documents: int) -> None:
    """The corpus: ids and texts, of which `evaluate_speed.write` took its mentions."""
    tokens = (np.arange(_WORDS)[:, None] * 7 + np.arange(_TOKENS)) % _WORDS
    texts = pa.array([" ".join(f"w{number:04d}" for number in row) for row in tokens.tolist()])
    numbers = np.arange(documents)
    table = pa.table({"doc_id": pa.array(numbers).cast(pa.string()), "text": texts.take(pa.array(numbers % _WORDS))})
    folder.mkdir(parents=True)
    for part in range(4):
        size = -(-documents // 4)
        pq.write_table(table.slice(part * size, size), folder / f"part-{part}.parquet", compression="zstd")


def write_blocks(work: Path) -> None:
    """What `export` wrote, a row for each document: its id and its lines."""
    folder = work / "blocks"
    folder.mkdir()
    for number, path in enumerate(sorted((work / "export").glob("*.conll"))):
        blocks = [f"# id = {block}" for block in path.read_text().split("# id = ")[1:]]
        ids = [block.split("\n", 1)[0].removeprefix("# id = ") for block in blocks]
        pq.write_table(pa.table({"doc_id": ids, "block": blocks}), folder / f"part-{number:05d}.parquet")


def run(side: str, work: Path) -> dict[str, float]:
    """Seconds of one side; its session is there before."""
    from pyspark.sql import functions as F

    from uniner_dist.cli.export import ExportOptions, run_export
    from uniner_dist.config.loading import load_sections
    from uniner_dist.spark.session import spark_session

    with spark_session(load_sections((), ())) as spark:
        spark.range(1_000).selectExpr("sum(id)").collect()
        begin, cpu = time.perf_counter(), _cpu_seconds()
        if side == "export":
            run_export(
                ExportOptions(str(work / "annotations"), str(work / "export"), "conll", corpus=str(work / "corpus")),
                (), (), lambda line: None,
            )  # fmt: skip
        else:
            blocks = spark.read.schema("doc_id string, block string").parquet(str(work / "blocks"))
            if side == "bare":
                answers = spark.read.parquet(str(work / "annotations")).select(
                    "doc_id", F.struct("entity_type", "outcome", "entities").alias("answer")
                )
                rows = answers.unionByName(blocks, allowMissingColumns=True).groupBy("doc_id")
                grouped = rows.agg(F.collect_list("answer").alias("answers"), F.max("block").alias("block"))
                blocks = grouped.where(F.size("answers") > 0)
            blocks.select("block").write.mode("overwrite").option("lineSep", "\n").text(str(work / f"out-{side}"))
        return {"seconds": time.perf_counter() - begin, "cpu_seconds": _cpu_seconds() - cpu}


def _cpu_seconds() -> float:
    """CPU seconds of this process and of all below it, those of Python's workers that ended included."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(one.user + one.system + one.children_user + one.children_system for one in times))


def main() -> None:
    """Parse, make the data, and run each side in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--types", type=int, default=13)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", choices=_SIDES)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run(options.side, options.work)))
        return
    if not (options.work / "corpus").exists():
        _, found = spans(options.documents, options.types)
        write(options.work / "annotations", found, options.documents, options.types, annotations=True)
        write_texts(options.work / "corpus", options.documents)
    results = {}
    for side in _SIDES:
        command = [sys.executable, "-m", "benchmarks.export_speed", "--work", str(options.work), "--side", side]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[side] = json.loads(done.stdout.splitlines()[-1])
        if side == "export" and not (options.work / "blocks").exists():
            write_blocks(options.work)
    for name in ("seconds", "cpu_seconds"):
        results[f"export_{name}_by_bare"] = results["export"][name] / results["bare"][name]
    written = sum(path.stat().st_size for path in (options.work / "export").glob("*.conll"))
    print(json.dumps({"documents": options.documents, "types": options.types, "bytes": written, **results}, indent=1))


if __name__ == "__main__":
    main()
