"""A Ray cluster of one node on loopback, whose Python has neither this project nor pyspark, for tests that join it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

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
    folder: Path  # of its sessions, logs among them


def bare_environment(folder: Path) -> Path:
    """An environment with the dependencies of this project, without itself and pyspark, and a java that tells.

    Returns its folder of commands.
    """
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


@contextmanager
def ray_head(bare_bin: Path) -> Iterator[Head]:
    """A head on loopback for the time of a `with` block, run by the Python of `bare_environment`."""
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
        yield Head(*places, bare_bin.parent / "tripped", folder)
    finally:
        family = [process]
        with suppress(psutil.NoSuchProcess):  # a head that did not start
            family = [*process.children(recursive=True), process]
            process.terminate()
        for one in psutil.wait_procs(family, timeout=60)[1]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: psutil.Popen, log: Path) -> None:
    deadline = time.monotonic() + 1200
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.1)
