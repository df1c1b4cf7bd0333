"""How long a command takes that finds the output as it should be, in two builds in turn.

    python -m benchmarks.nothing_to_do OTHER_CHECKOUT --documents 1000000 --repeats 5

Each build annotates the same corpus into an output of its own (few distinct texts, so that few prompts are answered),
and then the same command is started again and again. Each repeat does both builds, and which comes first changes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

import uniner_dist.demo

TEXTS, FILES = 2_000, 16
#: An older build has all of its command line in one module.
_START = """
import sys
import uniner_dist.cli as cli
if hasattr(cli, "__path__"):
    import uniner_dist.cli.app as cli
sys.exit(cli.main())
"""


def write_corpus(folder: Path, documents: int) -> None:
    """Documents with ids of their own, of which many have the same text."""
    folder.mkdir()
    for number in range(FILES):
        rows = range(number, documents, FILES)
        texts = [f"Report {row % TEXTS}: Maria met Paul in Oslo, and nobody else was there." for row in rows]
        table = pa.table({"doc_id": [f"document-{row:09}" for row in rows], "text": texts})
        pq.write_table(table, folder / f"part-{number:05}.parquet")


def annotate(checkout: Path, corpus: Path, output: Path) -> tuple[float, float, str]:
    """Wall and CPU seconds of the command, and what it said last."""
    settings = ["engine.kind=scripted", f"model.name={uniner_dist.demo.model_path()}"]
    command = [sys.executable, "-c", _START, "annotate", "--corpus", str(corpus), "--output", str(output)]
    command += ["--types", "person,place", *(part for one in settings for part in ("--set", one))]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{checkout} ended with {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, (done.stdout + done.stderr).strip().splitlines()[-1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="the build to compare with")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    builds = {"other": options.checkout.resolve(), "this": Path.cwd()}
    with tempfile.TemporaryDirectory(prefix="uniner-nothing-to-do-") as folder:
        corpus = Path(folder) / "corpus"
        write_corpus(corpus, options.documents)
        for name, checkout in builds.items():
            print(name, "first:", *annotate(checkout, corpus, Path(folder) / name), flush=True)
        ratios = []
        for repeat in range(options.repeats):
            order = list(builds) if repeat % 2 else list(reversed(builds))
            found = {name: annotate(builds[name], corpus, Path(folder) / name) for name in order}
            ratios.append([found["this"][n] / found["other"][n] for n in range(2)])  # type: ignore[operator]
            print(found, flush=True)
    for name, values in zip(("wall", "CPU"), zip(*ratios, strict=True), strict=True):
        print(f"this ÷ other, {name}: median {median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
