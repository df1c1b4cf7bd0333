"""Independent pieces of Spark work, run concurrently.

Results are returned in order. While one job is planned, or waits for its last task, the tasks of another use the cores.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyspark import InheritableThread
from pyspark.sql import SparkSession

#: Polling interval for running jobs, in seconds.
_LOOK_S = 1.0


def run_concurrently(spark: SparkSession, *tasks: Callable[[], Any]) -> list[Any]:
    """Run each task in a thread of its own; their jobs belong to the job group of the calling thread.

    Args:
        spark: session whose jobs are cancelled together.
        tasks: functions without arguments that run Spark jobs.

    Returns:
        What each returned, in the order of `tasks`.

    Raises:
        Exception: the first that a task raised; the jobs of the others are cancelled, as when this thread is
            interrupted.
    """
    results: list[Any] = [None] * len(tasks)
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            results[index] = tasks[index]()
        except BaseException as error:
            errors.append(error)
            _cancel_jobs(spark, group)

    group = spark.sparkContext.getLocalProperty("spark.jobGroup.id")
    threads = [InheritableThread(target=run, args=(index,), daemon=True) for index in range(len(tasks))]
    for thread in threads:
        thread.start()
    try:
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(_LOOK_S)
            if errors:  # a job that was still being planned when the others were cancelled begins only now
                _cancel_jobs(spark, group)
    except BaseException:
        _cancel_jobs(spark, group)
        raise
    if errors:
        raise errors[0]
    return results


def _cancel_jobs(spark: SparkSession, group: str | None) -> None:
    if group is not None:
        with suppress(Exception):  # without Java there is nothing to cancel, and the original error is raised
            spark.sparkContext.cancelJobGroup(group)
