"""What a piece of Spark work takes: wall and CPU seconds, memory, shuffles and tasks by step, and its files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from benchmarks.throughput.tree import Seen, look

_SAMPLE_S = 0.25
MIB = 2**20


def measure(spark: SparkSession, work: Callable[[], Any]) -> dict[str, Any]:
    """Do a piece of work.

    Returns:
        `wall_s`, `cpu_s` (driver, JVM and Python workers), `jvm_mib` and `python_mib` (most resident memory of the
        JVM, and of the driver and all workers together; what processes share counts for each), `load` (average of
        the minute before), `shuffles`, `shuffle_mib`, `spilled_mib`, and `steps`, one for each description of jobs.
    """
    spark.sparkContext.setJobDescription("the only step")
    before, load = max((job.jobId() for job in _jobs(spark)), default=-1), os.getloadavg()[0]
    sampler = _Sampler()
    begun = time.monotonic()
    with sampler:
        work()
    result: dict[str, Any] = {
        "wall_s": time.monotonic() - begun,
        "cpu_s": sampler.cpu_seconds(),
        "jvm_mib": sampler.jvm / MIB,
        "python_mib": sampler.python / MIB,
        "load": load,
    }
    steps = _steps(spark, before)
    result |= {name: sum(step[name] for step in steps) for name in ("shuffles", "shuffle_mib", "spilled_mib")}
    return result | {"steps": steps}


def file_sizes(folder: str) -> dict[str, Any]:
    """Number of Parquet files under a folder, their bytes in all, and the least, the middle and the greatest."""
    sizes = [path.stat().st_size for path in Path(folder).rglob("*.parquet")]
    if not sizes:
        return {"files": 0}
    return {
        "files": len(sizes),
        "mib": sum(sizes) / MIB,
        "min_kib": min(sizes) / 1024,
        "median_kib": median(sizes) / 1024,
        "max_kib": max(sizes) / 1024,
    }


class _Sampler:
    """A thread that looks at the CPU seconds and the memory of this process and its children.

    Python workers that Spark ends take their CPU seconds along: what was last seen of them counts. A child that the JVM
    has just forked is as big as the JVM for a moment, under another name than `java`.
    """

    def __init__(self) -> None:
        self.jvm = self.python = 0
        self._before, self._seen = Seen(), Seen()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._look()
        self._before = dict(self._seen)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def cpu_seconds(self) -> float:
        """From begin to end, of all processes that were seen."""
        return sum(self._seen.values()) - sum(self._before.values())

    def _run(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            self._look()

    def _look(self) -> None:
        memory = look(psutil.Process(), self._seen)
        python = sum(size for name, size in memory.items() if name.startswith("python"))
        self.jvm, self.python = max(self.jvm, memory["java"]), max(self.python, python)


def _jobs(spark: SparkSession) -> list[Any]:
    """The jobs that Spark's status store has, oldest first; it forgets the oldest of more than a thousand."""
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    jobs = spark.sparkContext._jsc.sc().statusStore().jobsList(None)
    return sorted((jobs.apply(i) for i in range(jobs.size())), key=lambda job: job.jobId())


def _steps(spark: SparkSession, before: int) -> list[dict[str, Any]]:
    """The jobs behind the one with the id `before`, put together by description, in the order of their beginning."""
    steps: dict[str, dict[str, Any]] = {}
    for job in (job for job in _jobs(spark) if job.jobId() > before):
        name = job.description().get() if job.description().isDefined() else job.name()
        zeros: dict[str, Any] = dict.fromkeys(("shuffles", "shuffle_mib", "spilled_mib", "jvm_cpu_s", "task_s"), 0)
        step = steps.setdefault(name, {"step": name, "jobs": 0, "wall_s": 0.0, **zeros, "tasks": []})
        step["jobs"] += 1
        step["wall_s"] += (job.completionTime().get().getTime() - job.submissionTime().get().getTime()) / 1000
        for stage in _stages(spark, job):
            step["shuffles"] += stage.shuffleWriteRecords() > 0
            step["shuffle_mib"] += stage.shuffleWriteBytes() / MIB
            step["spilled_mib"] += stage.memoryBytesSpilled() / MIB
            step["jvm_cpu_s"] += stage.executorCpuTime() / 1e9
            step["task_s"] += stage.executorRunTime() / 1000
            step["tasks"].append(_task_times(spark, stage))
    return list(steps.values())


def _stages(spark: SparkSession, job: Any) -> Iterator[Any]:
    """Stages of a job that ran; a stage whose shuffle was there already is skipped by Spark.

    Of more than a thousand stages the status store forgets skipped ones first, however young they are.
    """
    store, ids = spark.sparkContext._jsc.sc().statusStore(), job.stageIds()
    for i in range(ids.size()):
        try:
            stage = store.lastStageAttempt(ids.apply(i))
        except Py4JJavaError as error:
            if error.java_exception.getClass().getSimpleName() != "NoSuchElementException":
                raise
            continue
        if stage.status().name() == "COMPLETE":
            yield stage


def _task_times(spark: SparkSession, stage: Any) -> dict[str, Any]:
    """Number of tasks, and how long the middle and the longest one took."""
    gateway: Any = spark.sparkContext._gateway
    quantiles = gateway.new_array(gateway.jvm.double, 2)
    quantiles[0], quantiles[1] = 0.5, 1.0
    store = spark.sparkContext._jsc.sc().statusStore()
    summary = store.taskSummary(stage.stageId(), stage.attemptId(), quantiles)
    times = summary.get().executorRunTime() if summary.isDefined() else None
    middle, longest = (times.apply(i) / 1000 for i in (0, 1)) if times is not None else (0.0, 0.0)
    return {"tasks": stage.numCompleteTasks(), "median_s": middle, "max_s": longest}
