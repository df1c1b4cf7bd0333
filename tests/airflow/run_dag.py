"""Run a DAG of jobs/airflow for some days, in the process and environment of Airflow; the tests start it.

    python run_dag.py RESULTS DAG_ID DAY [DAY …]

Every task and every retry is run by Airflow itself (`dag.test()`, no scheduler), only without the minutes between two
tries. `dag.test()` ends well when a run failed, so each run's state is written to RESULTS, one JSON line a day.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag


def main(results: str, dag_id: str, days: list[str]) -> None:
    """Run the days one after the other."""
    [bundle] = DagBundlesManager().get_all_dag_bundles()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    assert not bag.import_errors, bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = timedelta(seconds=1), 0
    assert "uniner_dist" not in sys.modules, "the job lives in its own environment"
    for day in days:
        # A run started by hand gets the last whole interval before its logical date.
        started = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1, hours=9)
        run = dag.test(logical_date=started)
        outcome = {
            "day": run.data_interval_start.date().isoformat(),
            "state": run.state,
            "pools": {task.task_id: task.pool for task in dag.tasks},
            "tasks": {task.task_id: [task.state, task.try_number] for task in run.get_task_instances()},
        }
        with Path(results).open("a") as stream:
            stream.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
