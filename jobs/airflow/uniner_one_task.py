"""One spark-submit a day: the whole job for one partition of the corpus, the GPUs included.

The simplest way, where one machine reaches both Spark and Ray. The GPU slot is taken while Spark works too, so for
large partitions take `uniner_three_tasks`.
"""

from airflow.sdk import DAG
from uniner_tasks import DAG_OPTIONS, GPU_POOL, PLAN, spark_task

with DAG(
    dag_id="uniner_one_task",
    description="Annotate one partition of the corpus by one spark-submit",
    # One at a time: two intervals must not publish to one output on object storage at once.
    max_active_runs=1,
    **DAG_OPTIONS,
):
    spark_task("annotate", "annotate.py", PLAN, pool=GPU_POOL)
