"""The Spark stages of two builds in turn, each in a session of its own that stays open: the ratio repeat by repeat.

    python -m benchmarks.spark_stages.builds OTHER_CHECKOUT --prompts 1000000 --repeats 12

Both checkouts run with this interpreter and their own benchmark's corpus and answers. Each repeat does a stage of one
build, then the same of the other, and which comes first changes: what a machine does from minute to minute meets both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

STAGES = ("prompts", "annotations")

# Runs in the checkout that PYTHONPATH names; knows of it only what both builds have.
_WORKER = """
import shutil, sys, tempfile
from pathlib import Path
from benchmarks.spark_stages import compare, workload
from benchmarks.spark_stages.__main__ import QUICK_BYTES, silence_py4j, spark_session
from benchmarks.spark_stages.measure import measure

def runs(spark, corpus, prompts):
    run = workload.open_over(corpus, folder / "output")
    yield measure(spark, lambda: compare.write_prompts(spark, run))
    workload.write_answers(run)
    yield measure(spark, lambda: compare.write_annotations(spark, run))
    shutil.rmtree(run.layout.workdir)
    yield None

silence_py4j()
prompts = int(sys.argv[1])
folder = Path(tempfile.mkdtemp())
try:
    corpus = folder / "corpus"
    workload.write_corpus(corpus, prompts // len(workload.TYPES), workload.LONG_WORDS)
    run = workload.open_over(corpus, folder / "none")
    with spark_session(run.config, quick=run.corpus_bytes < QUICK_BYTES) as spark:
        for _ in range(3):
            list(runs(spark, corpus, prompts))
        print("ready", flush=True)
        current = iter(())
        for _ in sys.stdin:
            found = next(current, None)
            if found is None:
                current = runs(spark, corpus, prompts)
                found = next(current)
            print(found["wall_s"], found["cpu_s"], flush=True)
finally:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Build:
    """A session of one checkout, which does the next stage when it is told to."""

    def __init__(self, checkout: Path, prompts: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(prompts)],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._line()

    def stage(self) -> tuple[float, float]:
        """Wall and CPU seconds of the next stage."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        wall, cpu = self._line().split()
        return float(wall), float(cpu)

    def close(self) -> None:
        """End the session."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a build's session has ended")
        return line


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="the build to compare with")
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    builds = {"other": Build(options.checkout.resolve(), options.prompts), "this": Build(Path.cwd(), options.prompts)}
    ratios: dict[str, list[tuple[float, float]]] = {stage: [] for stage in STAGES}
    for repeat in range(options.repeats):
        order = list(builds) if repeat % 2 else list(reversed(builds))
        for stage in STAGES:
            found = {name: builds[name].stage() for name in order}
            ratios[stage].append((found["other"][0] / found["this"][0], found["other"][1] / found["this"][1]))
            print(stage, found, flush=True)
    for build in builds.values():
        build.close()
    for stage, pairs in ratios.items():
        for name, values in zip(("wall", "CPU"), zip(*pairs, strict=True), strict=True):
            ordered = sorted(values)
            print(f"{stage}: other ÷ this, {name}: median {median(values):.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})")


if __name__ == "__main__":
    main()
