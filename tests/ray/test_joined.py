"""A Ray cluster that was there before, whose Python has neither this project nor pyspark, joined in every way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.ray.conftest import MakeRun
from tests.ray.test_pool import TYPES, assert_answers, texts

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
#: What whoever joins must have.
ACCESS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a head on 127.0.0.1 is looked for there, not at the machine's address
}


@dataclass(frozen=True)
class Head:
    """Addresses of a cluster of one node."""

    address: str
    client: str
    dashboard: str
    tripped: Path  # exists once somebody has called for Java there


@pytest.fixture(scope="module")
def bare_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the dependencies of this project, without itself and pyspark, and a java that tells."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    [packages] = (folder / "lib").glob("python3*/site-packages")
    # Folders named in a .pth file come behind, and their own .pth files, such as that of this project, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "pyspark.py").write_text("raise ImportError('there is no pyspark here')")
    (folder / "bin/java").write_text(f"#!/bin/sh\ntouch {folder}/tripped\nexit 1\n")
    (folder / "bin/java").chmod(0o755)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for package in ("uniner_dist", "pyspark"):
        command = [str(folder / "bin/python"), "-c", f"import ray, {package}"]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert package in done.stderr.splitlines()[-1]
    return folder / "bin"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def head(bare_bin: Path) -> Iterator[Head]:
    gcs, client, dashboard, agent = ports = free_ports(4)
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # Ray's sockets do not fit pytest's long paths
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ACCESS
    env["PATH"] = f"{bare_bin}:{env['PATH']}"
    command = [str(bare_bin / "python"), "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += ["--node-ip-address=127.0.0.1", f"--port={gcs}", f"--ray-client-server-port={client}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--include-dashboard=true"]
    command += [f"--dashboard-agent-listen-port={agent}"]
    command += [f"--temp-dir={folder}", f"--object-store-memory={80 * 2**20}", "--disable-usage-stats"]
    with (folder / "head.log").open("wb") as log:
        process = psutil.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for port in ports:
            _wait_for(port, process, folder / "head.log")
        places = f"127.0.0.1:{gcs}", f"ray://127.0.0.1:{client}", f"http://127.0.0.1:{dashboard}"
        yield Head(*places, bare_bin.parent / "tripped")
    finally:
        family = [*process.children(recursive=True), process]
        process.terminate()
        for one in psutil.wait_procs(family, timeout=15)[1]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: psutil.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.1)


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command on the user's machine, where everything is; stdout has all that it said."""
    options = {"cwd": ROOT, "env": {**os.environ, **ACCESS}, "timeout": 300}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)


def run(command: list[str], code: int = 0) -> str:
    """Run a command to its end, assert its exit code, return what it said."""
    done = start(command)
    assert done.returncode == code, done.stdout[-4000:]
    return done.stdout


def test_replicas_get_this_project_from_the_driver(head: Head, make_run: MakeRun) -> None:
    made = make_run([texts(20, seed) for seed in range(4)], TYPES, ray={"address": head.address})
    run([str(BIN / "uniner-dist"), "completions", "--workdir", made.layout.workdir])
    assert_answers(made)


def test_ray_client_controls_the_replicas_as_well(head: Head, make_run: MakeRun) -> None:
    made = make_run([texts(20, seed) for seed in range(4)], TYPES, ray={"address": head.client})
    command = [str(BIN / "uniner-dist"), "completions", "--workdir", made.layout.workdir]
    done = start(command)
    if done.returncode:
        # Seen once on a busy machine: the server that Ray's proxy starts for each client was dead at once.
        assert "Initialization failure from server" in done.stdout
        assert "Traceback" not in done.stdout
        run(command)
    assert_answers(made)


def test_a_submitted_job_needs_neither_spark_nor_java(head: Head, make_run: MakeRun) -> None:
    made = make_run([texts(20, seed) for seed in range(4)], TYPES, ray={"address": "auto"})
    page = (ROOT / "docs/clusters.md").read_text()
    words = page[page.index("ray job submit") : page.index("```\n", page.index("ray job submit"))]
    for placeholder, value in {"ray job": f"{BIN}/ray job", "http://ray-head:8265": head.dashboard}.items():
        assert placeholder in words
        words = words.replace(placeholder, value)
    run(["bash", "-c", words.replace("WORK", made.layout.workdir)])
    assert_answers(made)
    assert not head.tripped.exists()


def test_other_versions_on_the_cluster_are_named(head: Head, make_run: MakeRun) -> None:
    """The cluster's own record of its versions is changed for this, so it comes last."""
    change = (
        "import json, sys, ray; ray.init(sys.argv[1], log_to_driver=False)\n"
        "from ray.experimental.internal_kv import _internal_kv_get as get, _internal_kv_put as put\n"
        "key = b'CLUSTER_METADATA'\n"
        "value = json.loads(get(key, namespace=b'cluster')) | {'ray_version': '2.1.0', 'python_version': '3.9.2'}\n"
        "put(key, json.dumps(value).encode(), overwrite=True, namespace=b'cluster')\n"
    )
    run([sys.executable, "-c", change, head.address])
    made = make_run([texts(1, 1)], TYPES, ray={"address": head.address})
    said = run([str(BIN / "uniner-dist"), "completions", "--workdir", made.layout.workdir], code=3)
    assert "the cluster runs Ray 2.1.0 on Python 3.9.2, and this command Ray" in said
    assert "Traceback" not in said
