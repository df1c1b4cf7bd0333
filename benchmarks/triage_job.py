"""The whole job with triage beside the whole job without, by the demonstration model: what is missed, what is saved.

    .venv/bin/python -m benchmarks.triage_job [--documents 6000] [--bound 0.01]

The corpus is made of the sample corpus: a number and one to three of its sentences each, so that no two documents begin
alike. As sentences recur, the
classifier knows many by heart, so the share that is skipped says little about other corpora; the cost of a cell that is
skipped, of one that is asked and of learning does not depend on that. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from benchmarks.throughput.tree import run_watched
from uniner_dist import demo

#: What a (document, type) came to.
Outcomes = dict[tuple[str, str], str]


@dataclass(frozen=True)
class Job:
    """One command, to its end."""

    outcomes: Outcomes
    report: dict[str, Any]
    cpu_s: float
    wall_s: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=6_000)
    parser.add_argument("--bound", type=float, default=0.01, help="share that may be missed")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="triage-") as name:
        folder = Path(name)
        write_corpus(folder / "corpus", given.documents)
        full = run(folder, "full")
        triaged = run(folder, "triaged", "--max-missed", str(given.bound), "--set", "triage.rare_types=include")
    print(table(full, triaged))


def write_corpus(folder: Path, documents: int) -> None:
    """Different documents of a number and one to three sentences of the sample corpus."""
    texts = pq.read_table(demo.corpus_path())["text"].to_pylist()
    sentences = [one for text in texts if text for one in re.split(r"(?<=[.!?])\s+", text) if len(one) > 20]
    rng = np.random.default_rng(0)
    made = [f"{number}. " + " ".join(rng.choice(sentences, rng.integers(1, 4))) for number in range(documents)]
    folder.mkdir()
    ids = [f"d{number}" for number in range(documents)]
    pq.write_table(pa.table({"doc_id": ids, "text": made}), folder / "part-0.parquet")


def run(folder: Path, name: str, *more: str) -> Job:
    """Annotate the corpus with one replica, and read what came out."""
    output = folder / name
    where = ["--corpus", str(folder / "corpus"), "--output", str(output), "--types", ",".join(demo.entity_types())]
    command = [str(Path(sys.executable).parent / "uniner-dist"), "annotate", *where, "--model", demo.model_path()]
    tree = run_watched([*command, "--set", "pool.replicas=1", *more], os.environ, folder / f"{name}.log")
    rows = pads.dataset(output, format="parquet", partitioning="hive").to_table(["doc_id", "entity_type", "outcome"])
    outcomes = {(row["doc_id"], row["entity_type"]): row["outcome"] for row in rows.to_pylist()}
    [report] = folder.glob(f"{name}.work/runs/*/report.json")
    wall_s = tree.times[-1] - tree.times[0]
    return Job(outcomes, json.loads(report.read_text()), tree.cpu[-1], wall_s)


def table(full: Job, triaged: Job) -> str:
    """Both jobs side by side, as a table in Markdown."""
    filled = {cell for cell, outcome in full.outcomes.items() if outcome != "none"}
    skipped = {cell for cell, outcome in triaged.outcomes.items() if outcome == "skipped"}
    others = sum(full.outcomes[cell] != outcome for cell, outcome in triaged.outcomes.items() if cell not in skipped)
    assert full.outcomes.keys() == triaged.outcomes.keys()
    lines = [
        f"{len(full.outcomes):,} cells, {len(filled) / len(full.outcomes):.1%} filled; skipped {len(skipped):,} "
        f"({len(skipped) / len(full.outcomes):.1%}); of what is filled {len(skipped & filled) / len(filled):.2%} "
        f"missed; other outcomes {others}",
        "",
        "| | prompts asked | prompt tokens computed | tokens generated | prompts/s | CPU of the command, s | wall, s |",
        "|---|" + "---:|" * 6,
        *(_row(name, job) for name, job in (("full", full), ("with triage", triaged))),
    ]
    return "\n".join(lines)


def _row(name: str, job: Job) -> str:
    done = job.report["completions"]
    return (
        f"| {name} | {done['prompts']:,} | {done['prompt_tokens'] - done['cached_tokens']:,} | "
        f"{done['completion_tokens']:,} | {done['prompts_per_s']:,.0f} | {job.cpu_s:,.0f} | {job.wall_s:,.0f} |"
    )


if __name__ == "__main__":
    main()
