"""A real standalone Spark cluster on loopback, from the pip-installed pyspark: a master, workers, their executors.

For tests that submit to it, kill parts of it, or run Ray on it. Everything is started on free ports, keeps its files in
one folder, and is stopped by process id.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyspark

#: Daemons that start fast and stay small.
_JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"


@dataclass
class StandaloneCluster:
    """A running cluster; `url` is what `spark.master` wants."""

    url: str
    daemons: list[psutil.Popen] = field(default_factory=list)

    def executors(self) -> list[psutil.Process]:
        """Executors that run right now, oldest first."""
        found = []
        for daemon in self.daemons:
            with suppress(psutil.NoSuchProcess):
                children = daemon.children(recursive=True)
                found += [child for child in children if "CoarseGrainedExecutorBackend" in _line(child)]
        return sorted(found, key=lambda process: process.pid)


@contextmanager
def standalone_cluster(
    folder: Path, workers: int = 2, cores: int = 1, memory: str = "1g", without: Collection[str] = ()
) -> Iterator[StandaloneCluster]:
    """A master and some workers for the time of a `with` block.

    Args:
        folder: for logs, executors' working directories and shuffle files.
        cores: cores that each worker offers.
        memory: memory that each worker offers, as Spark writes it.
        without: environment variables that its daemons and executors do not get.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster = StandaloneCluster("")
    try:
        master = _start(folder, without, "master", "org.apache.spark.deploy.master.Master")
        cluster.daemons.append(master)
        cluster.url = _wait_for_line(master, folder / "master.log", r"Starting Spark master at (spark://\S+)")
        for i in range(workers):
            offer = ["--cores", str(cores), "--memory", memory, "--work-dir", str(folder / f"work-{i}")]
            daemon = "org.apache.spark.deploy.worker.Worker"
            worker = _start(folder, without, f"worker-{i}", daemon, *offer, cluster.url)
            cluster.daemons.append(worker)
        for i, worker in enumerate(cluster.daemons[1:]):
            _wait_for_line(worker, folder / f"worker-{i}.log", r"(Successfully registered with master)")
        yield cluster
    finally:
        _stop(cluster)


def _start(folder: Path, without: Collection[str], name: str, daemon: str, *arguments: str) -> psutil.Popen:
    home = Path(pyspark.__file__).parent
    env = {
        **{key: value for key, value in os.environ.items() if key not in without},
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "shuffle"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": _JAVA_OPTIONS,
        # Spark's own default would log into the installed package.
        "SPARK_LOG_DIR": str(folder),
    }
    places = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with (folder / f"{name}.log").open("wb") as log:
        command = [str(home / "bin/spark-class"), daemon, *places, *arguments]
        return psutil.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)


def _wait_for_line(daemon: psutil.Popen, log: Path, pattern: str, seconds: float = 1200) -> str:
    deadline = time.monotonic() + seconds
    while True:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[1]
        assert daemon.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)


def _stop(cluster: StandaloneCluster) -> None:
    family = [*cluster.executors(), *reversed(cluster.daemons)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=60)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for daemon in cluster.daemons:
        with suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            daemon.wait(timeout=60)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
