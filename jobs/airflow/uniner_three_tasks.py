"""Prompts by Spark, completions by Ray, annotations by Spark: three tasks a day, each on its own cluster.

Only the middle one takes a GPU slot. The tasks share nothing but the storage, and each can be cleared and run again
alone.
"""

from airflow.sdk import DAG
from uniner_tasks import DAG_OPTIONS, GPU_POOL, PLAN, WORKDIR, command_task, setting, spark_task

LATEST = ["--config", setting("config"), *WORKDIR, "--run", "latest"]

with DAG(
    dag_id="uniner_three_tasks",
    description="Annotate one partition of the corpus: prompts, completions, annotations",
    # While the GPUs answer one interval, Spark may prepare the next ones.
    max_active_runs=3,
    **DAG_OPTIONS,
):
    prompts = spark_task("prompts", "prompts.py", PLAN)
    completions = command_task("completions", setting("completions"), LATEST, pool=GPU_POOL)
    # One at a time: two intervals must not publish to one output on object storage at once.
    annotations = spark_task("annotations", "annotations.py", LATEST, max_active_tis_per_dag=1)

    prompts >> completions >> annotations
