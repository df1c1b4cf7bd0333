"""What both DAGs are made of: locations, and tasks that tell a failure worth a retry from one that is not.

Reads the Airflow Variable `uniner_dist` (see docs/airflow.md) when a task starts and never when a DAG file is parsed;
makes operators. Needs Airflow and its Spark provider only: the job itself runs in its own environment, which cannot be
shared with Airflow's (the provider's pyspark-client overwrites files of pyspark).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseHook, Context, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException

#: The corpus partition of a data interval. `data_interval_start`, not `ds`: they differ in runs started by hand.
PARTITION = "day={{ data_interval_start | ds }}"
#: Slots of this Airflow pool are how many jobs may use the GPUs at a time.
GPU_POOL = "uniner_gpu"
#: Airflow's Spark connection.
CONNECTION = "uniner_spark"

#: Exit codes of the job that another try may cure: 1 (unexpected), 3 (a stage failed), 6 (another process works on the
#: run), 75 (stopped on request). Deaths by a signal count too. What is not listed needs a person: wrong options (2), a
#: broken invariant (4), thresholds (5), the quality gate (7), limits (8), and whatever a later version adds.
WORTH_A_RETRY = frozenset({1, 3, 6, 75})

#: Arguments of every DAG here.
DAG_OPTIONS: dict[str, object] = {
    # Not "@daily": its data intervals have no length.
    "schedule": CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    # Old partitions are a backfill, started on purpose (docs/airflow.md); True would start them all at once.
    "catchup": False,
    "default_args": {
        "retries": 3,
        # Longer than the minute after which a dead process no longer holds its run.
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    "tags": ["uniner-dist"],
}


def setting(name: str) -> str:
    """Return the Jinja template of one entry of the Variable.

    Args:
        name: key of the entry, such as "output"; docs/airflow.md lists them.
    """
    return "{{ var.json.uniner_dist.%s }}" % name  # noqa: UP031 - braces of an f-string would hide those of Jinja


#: Where the work of one interval is. Its own folder, so that `--run latest` is this interval's run.
WORKDIR = ["--workdir", f"{setting('workdir')}/{PARTITION}"]
#: What is annotated: one partition of a folder of Parquet, or a whole table, which has versions instead.
CORPUS = "{{ var.json.uniner_dist.get('table') or var.json.uniner_dist.corpus ~ '/day=' ~ (data_interval_start | ds) }}"
#: What the job is to do; the rest (types, model, pool, thresholds) is in the configuration file.
PLAN = [
    "--config",
    setting("config"),
    "--corpus",
    CORPUS,
    "--output",
    setting("output"),
    *WORKDIR,
]


def spark_task(task_id: str, script: str, arguments: Sequence[str], **options: Any) -> SparkTask:
    """Return a task that runs `jobs/<script>` by spark-submit.

    Args:
        task_id: name of the task in its DAG.
        script: name of the file in the folder that the Variable's entry `jobs` names, such as "annotate.py".
        arguments: of the script, as on the command line; they may be templates.
        options: further arguments of Airflow's operator, such as `pool`.
    """
    return SparkTask(
        task_id=task_id,
        conn_id=CONNECTION,
        name=f"uniner-dist {task_id}",
        application=f"{setting('jobs')}/{script}",
        application_args=list(arguments),
        # Whatever python comes first on the worker's PATH is Airflow's, which cannot run the job.
        env_vars={"PYSPARK_PYTHON": setting("python")},
        **options,
    )


def command_task(task_id: str, command: str, arguments: Sequence[str], **options: Any) -> CommandTask:
    """Return a task that runs a command. `exec`: a stop must reach the job, not a shell around it.

    Args:
        task_id: name of the task in its DAG.
        command: the program with its first words, as a shell reads them; it may be a template.
        arguments: of the command; those that are templates are put in single quotes, all others are read by the shell.
        options: further arguments of Airflow's operator, such as `pool`.
    """
    words = [f"'{argument}'" if "{{" in argument else argument for argument in arguments]
    return CommandTask(task_id=task_id, bash_command=f"exec {command} {' '.join(words)}", **options)


class SparkTask(SparkSubmitOperator):
    """`SparkSubmitOperator` that retries only what a retry can cure, drains when stopped, and guesses no master."""

    def execute(self, context: Context) -> None:
        """Submit and wait.

        Args:
            context: of the task instance, from Airflow.

        Raises:
            AirflowFailException: no connection, or an exit code that needs a person; not retried.
            AirflowException: anything else; retried.
        """
        _require_connection(self._conn_id)
        try:
            super().execute(context)
        except AirflowException as error:
            process = self._hook._submit_sp if self._hook else None
            raise _judged(error, process.returncode if process else None) from error

    def on_kill(self) -> None:
        """Ask the driver to finish its shards; killing spark-submit, as the provider does, would leave it running."""
        process = self._hook._submit_sp if self._hook else None
        drivers = _drivers(process.pid, self.application) if process and process.poll() is None else []
        for driver in drivers:
            with suppress(psutil.NoSuchProcess):
                driver.send_signal(signal.SIGTERM)
        if not drivers:
            super().on_kill()


class CommandTask(BashOperator):
    """`BashOperator` that retries only what a retry can cure, and drains when stopped."""

    def execute(self, context: Context) -> Any:
        """Run and wait.

        Args:
            context: of the task instance, from Airflow.

        Returns:
            The last line of the command's output, which Airflow passes on as the task's XCom.

        Raises:
            AirflowFailException: an exit code that needs a person; not retried.
            AirflowException: anything else; retried.
        """
        try:
            return super().execute(context)
        except AirflowException as error:
            process = self.subprocess_hook.sub_process
            raise _judged(error, process.returncode if process else None) from error

    def on_kill(self) -> None:
        """Ask the job to finish its shards; not the whole process group, of which a local Ray cluster is a part."""
        process = self.subprocess_hook.sub_process
        if process and process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)


def _judged(error: AirflowException, exit_code: int | None) -> AirflowException:
    """The error to raise instead: the same, or one that Airflow does not retry."""
    if exit_code in (None, 0) or exit_code in WORTH_A_RETRY or exit_code < 0 or exit_code > 128:
        return error
    return AirflowFailException(
        f"exit code {exit_code}: another try would end the same way; the job's own message is above"
    )


def _require_connection(name: str) -> None:
    """Without this the provider takes a connection that is missing or cannot be read for YARN."""
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException as error:
        raise AirflowFailException(f"connection {name}: is not defined, or cannot be read as it is spelt") from error
    if not connection.host and connection.conn_type != "yarn":
        raise AirflowFailException(f"connection {name}: names no master; see docs/airflow.md for how to write it")


def _drivers(spark_submit: int, application: str) -> list[psutil.Process]:
    """The Python driver that spark-submit started (client mode), not the Python workers next to it."""
    drivers = []
    for child in psutil.Process(spark_submit).children() if psutil.pid_exists(spark_submit) else []:
        # Spark's JVM also has children that live for milliseconds; one that is gone must not hide the driver.
        with suppress(psutil.NoSuchProcess):
            if application in child.cmdline():
                drivers.append(child)
    return drivers
