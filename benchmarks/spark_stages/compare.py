"""The real stages and the bare jobs in turn over one corpus, and what came out as tables."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.dataset as pads
from pyspark.sql import SparkSession

from benchmarks.spark_stages import bare
from benchmarks.spark_stages.measure import file_sizes, measure
from benchmarks.spark_stages.workload import LONG_WORDS, TYPES, open_over, write_answers, write_corpus
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.storage.shards import read_shards

#: What each stage is compared with.
RIVALS = {
    "prompts": ("bare prompts, no shuffle", "bare prompts, in shards"),
    "annotations": ("bare annotations",),
}


def compare(
    spark: SparkSession, folder: Path, prompts: int, repeats: int, long_words: int = LONG_WORDS
) -> dict[str, Any]:
    """Measure every way over a corpus of about so many prompts, all of them again for every repeat.

    The corpus is made in `folder` unless it stands there.

    Returns:
        `documents`, `types`, `shards` (their number and their estimated tokens, greatest by mean), and `runs`.
    """
    corpus = folder / "corpus"
    if not corpus.exists():
        write_corpus(corpus, prompts // len(TYPES), long_words)
    record: dict[str, Any] = {"documents": prompts // len(TYPES), "types": len(TYPES), "runs": []}
    for repeat in range(repeats):
        run = open_over(corpus, folder / f"output-{repeat}")
        for found in _each_way(spark, run, folder):
            record["runs"].append({"repeat": repeat, **found})
            print(f"{found['way']}: {found['wall_s']:.1f} s, CPU {found['cpu_s']:.1f} s", file=sys.stderr, flush=True)
        tokens = read_shards(run.layout)["estimated_tokens"].to_pylist()
        record["shards"] = {"count": len(tokens), "greatest_by_mean": max(tokens) * len(tokens) / sum(tokens)}
        shutil.rmtree(run.layout.workdir)
    return record


def _each_way(spark: SparkSession, run: Run, folder: Path) -> Iterator[dict[str, Any]]:
    """One measurement after the other; stages and bare jobs take turns."""
    corpus = run.config.corpus.path
    plain, in_shards, rows = (str(folder / name) for name in ("plain", "in-shards", "rows"))
    unshuffled, shuffled = RIVALS["prompts"]

    def timed(way: str, output: str, work: Callable[[], Any]) -> dict[str, Any]:
        return {"way": way} | measure(spark, work) | {"files": file_sizes(output), "rows": _rows(output)}

    yield timed(unshuffled, plain, lambda: bare.prompts_without_shuffle(spark, corpus, TYPES, plain))
    yield timed("prompts", run.layout.prompts, lambda: write_prompts(spark, run))
    shards = read_shards(run.layout).num_rows
    yield timed(shuffled, in_shards, lambda: bare.prompts_in_shards(spark, corpus, TYPES, in_shards, shards))
    write_answers(run)
    yield timed("annotations", run.layout.staging, lambda: write_annotations(spark, run))
    [rival] = RIVALS["annotations"]
    yield timed(rival, rows, lambda: bare.write_rows(spark, run, rows))
    for path in (plain, in_shards, rows):
        shutil.rmtree(path)


def _rows(folder: str) -> int:
    return int(pads.dataset(folder, format="parquet").count_rows())


def markdown(record: dict[str, Any]) -> str:
    """Tables: every way, the ratios, and the steps of the real stages."""
    ways = dict.fromkeys(run["way"] for run in record["runs"])
    found = {way: _medians([run for run in record["runs"] if run["way"] == way]) for way in ways}
    columns = ("way", "wall s", "CPU s", "JVM MiB", "Python MiB", "shuffles", "shuffled MiB", "rows", "files")
    lines = ["| " + " | ".join((*columns, "KiB: min, median, max")) + " |", "|---|" + "---:|" * len(columns)]
    for way, run in found.items():
        files = run["files"]
        sizes = ", ".join(f"{files[name]:,.0f}" for name in ("min_kib", "median_kib", "max_kib"))
        lines.append(
            f"| {way} | {run['wall_s']:.1f} | {run['cpu_s']:.1f} | {run['jvm_mib']:,.0f} | {run['python_mib']:,.0f} "
            f"| {run['shuffles']} | {run['shuffle_mib']:,.0f} | {run['rows']:,} | {files['files']} | {sizes} |"
        )
    lines += ["", "| ratio | wall | CPU |", "|---|---:|---:|"]
    for stage, rivals in RIVALS.items():
        for rival in rivals:
            wall, cpu = (found[stage][name] / found[rival][name] for name in ("wall_s", "cpu_s"))
            lines.append(f"| {stage} / {rival} | {wall:.2f} | {cpu:.2f} |")
    for stage in RIVALS:
        lines += ["", f"Steps of {stage}, first repeat:", ""]
        lines += ["| step | jobs | wall s | tasks' s | JVM CPU s | shuffles | MiB | longest task by median, s |"]
        lines += ["|---|" + "---:|" * 7]
        for step in next(run for run in record["runs"] if run["way"] == stage)["steps"]:
            tasks = max(step["tasks"], key=lambda task: task["max_s"], default={"max_s": 0, "median_s": 0})
            lines.append(
                f"| {step['step']} | {step['jobs']} | {step['wall_s']:.1f} | {step['task_s']:.1f} "
                f"| {step['jvm_cpu_s']:.1f} | {step['shuffles']} | {step['shuffle_mib']:.1f} "
                f"| {tasks['max_s']:.1f} / {tasks['median_s']:.1f} |"
            )
    return "\n".join([*lines, "", json.dumps(record["shards"])])


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The first run with the median of every repeat's times and memory."""
    names = ("wall_s", "cpu_s", "jvm_mib", "python_mib")
    return runs[0] | {name: median(run[name] for run in runs) for name in names}
