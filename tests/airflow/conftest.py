"""A real Airflow in an environment of its own, set up by the commands of docs/airflow.md; the job runs in ours.

`make test-airflow` makes that environment. Nothing listens anywhere: there is no scheduler and no server, `dag.test()`
runs the tasks, and Spark and Ray keep to loopback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.conftest import read_rows

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".venv-airflow/bin"
DAGS = ROOT / "jobs/airflow"

_SPARK_DEFAULTS = """
spark.ui.enabled false
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.shuffle.partitions 2
"""
NAMES = ("Paula", "Lima", "Erik", "Oslo", "Nadia", "Turin", "Rosa", "Zed", "Ida", "Tokyo")


def setup_commands(replace: dict[str, str]) -> list[list[str]]:
    """The setup block of docs/airflow.md as commands, with its places replaced."""
    [block] = re.findall(r"```bash\n(airflow db migrate\n.*?)```", (ROOT / "docs/airflow.md").read_text(), re.DOTALL)
    for old, new in replace.items():
        assert old in block, old
        block = block.replace(old, new)
    return [["bash", "-c", command] for command in re.split(r"\n(?=airflow )", block.strip())]


@dataclass(frozen=True)
class Ran:
    """What Airflow says of some days of a DAG."""

    days: list[dict[str, Any]]
    log: str

    @property
    def states(self) -> list[tuple[str, str]]:
        """(day, state of the run) of each day."""
        return [(day["day"], day["state"]) for day in self.days]

    @property
    def tasks(self) -> list[dict[str, list[Any]]]:
        """Each day's task → [state, number of tries]."""
        return [day["tasks"] for day in self.days]


@dataclass(frozen=True)
class Deployment:
    """One Airflow, one corpus, one configuration file of the job."""

    root: Path
    env: dict[str, str]

    @property
    def output(self) -> Path:
        return self.root / "annotations"

    def work(self, day: str) -> Path:
        """Workdir of one interval."""
        return self.root / "annotations.work" / f"day={day}"

    def configure(self, **options: Any) -> None:
        """Write the job's configuration: one small replica, and what the test wants; `a__b` stands for `a.b`."""
        tree: dict[str, Any] = {
            "types": {"person": "person", "location": "location"},
            "pool": {"replicas": 1, "backoff_s": 0.1},
            "prompts": {"min_shards": 4},
        }
        for dotted, value in options.items():
            section, key = dotted.split("__")
            tree.setdefault(section, {})[key] = value
        (self.root / "job.yaml").write_text(yaml.safe_dump(tree))

    def write_day(self, day: str, rejected: int = 0) -> None:
        """One partition of 20 documents, of which some have no text."""
        path = self.root / "corpus" / f"day={day}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        texts = [f"{NAMES[i % 10]} Smith met {NAMES[(3 * i + 1) % 10]} near {NAMES[i // 2]}." for i in range(20)]
        ids = [f"{day}-{i}" for i in range(20)]
        pq.write_table(pa.table({"doc_id": ids, "text": [None] * rejected + texts[rejected:]}), path)

    def start(self, dag_id: str, *days: str, **env: str) -> subprocess.Popen[bytes]:
        """Begin to run a DAG for some days, one after the other, with more environment variables."""
        results = self.root / "results.jsonl"
        results.unlink(missing_ok=True)
        command = [str(AIRFLOW / "python"), str(Path(__file__).with_name("run_dag.py")), str(results), dag_id, *days]
        with (self.root / "log").open("w") as log:
            return subprocess.Popen(
                command, env=self.env | env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def log(self) -> str:
        """What Airflow printed so far in this run, the job's own words included."""
        return (self.root / "log").read_text()

    def finish(self, process: subprocess.Popen[bytes]) -> Ran:
        """Wait for the last day's end."""
        assert process.wait(timeout=1200) == 0, self.log[-4000:]
        lines = (self.root / "results.jsonl").read_text().splitlines()
        return Ran([json.loads(line) for line in lines], self.log)

    def run(self, dag_id: str, *days: str, **env: str) -> Ran:
        """Run a DAG for some days."""
        return self.finish(self.start(dag_id, *days, **env))

    def rows(self, day: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Published annotations of one day by (document, type)."""
        return {key: row for key, row in read_rows(self.output).items() if str(row["day"]) == day}

    def files(self) -> dict[str, int]:
        """Every file of the output and when it was last changed."""
        return {str(path): path.stat().st_mtime_ns for path in self.output.rglob("*") if path.is_file()}


def make_deployment(root: Path) -> Deployment:
    """Set an Airflow up below a folder."""
    assert (AIRFLOW / "airflow").exists(), "Airflow's environment is not there: make test and make test-airflow make it"
    (root / "spark").mkdir()
    (root / "spark/spark-defaults.conf").write_text(_SPARK_DEFAULTS)
    shutil.copy(ROOT / "uniner_dist/spark/log4j2.properties", root / "spark/log4j2.properties")
    env = {
        **os.environ,
        # spark-submit is the job's; `airflow` is called below by its folder.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:{AIRFLOW}",
        "AIRFLOW_HOME": str(root / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SPARK_CONF_DIR": str(root / "spark"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "COLUMNS": "200",
    }
    places = {
        "/opt/uniner-dist/.venv/bin/python": sys.executable,
        "/opt/uniner-dist/jobs": str(ROOT / "jobs"),
        "/opt/uniner-dist/job.yaml": str(root / "job.yaml"),
        "s3://bucket": str(root),
        "spark://master:7077": "local[2]",
    }
    for command in setup_commands(places):
        if "connections add" in command[-1]:
            shutil.copy(root / "airflow/airflow.db", root / "without-connection.db")
        done = subprocess.run(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    return Deployment(root, env)


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The deployment that all tests share, each with days of its own."""
    return make_deployment(tmp_path_factory.mktemp("airflow"))
