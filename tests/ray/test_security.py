"""The Ray cluster that we start: on loopback only, behind a token that stands nowhere to be read."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psutil
import pytest

from tests.ray.conftest import MakeRun
from tests.support.pool import TYPES, complete, texts
from tests.support.watching import listens

pytestmark = pytest.mark.ray


def family() -> list[psutil.Process]:
    """This process and Ray's."""
    me = psutil.Process()
    return [me, *(child for child in me.children(recursive=True) if "ray" in line(child).lower())]


def line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_everything_that_listens_is_on_loopback(ray: Any, make_run: MakeRun) -> None:
    complete(make_run([texts(3)], TYPES))
    listening = {place for process in family() for place in listens(process)}
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert {address for _, address in listening} <= {"127.0.0.1", "::1"}, listening


def test_the_token_is_in_no_process_arguments(ray: Any) -> None:
    assert os.environ["RAY_AUTH_TOKEN"]
    for process in family():
        assert os.environ["RAY_AUTH_TOKEN"] not in line(process)


def test_a_client_without_the_token_is_refused(ray: Any) -> None:
    """Ray tries for 20 s, so clients without a token and with a wrong one try at the same time."""
    address = ray.get_runtime_context().gcs_address
    script = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('connected')"
    clients = []
    for mode in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}):
        env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        env |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "HOME": "/nonexistent", **mode}
        clients.append(subprocess.Popen([sys.executable, "-c", script, address], env=env, stdout=subprocess.PIPE))
    for client in clients:
        words, _ = client.communicate(timeout=1200)
        assert client.returncode != 0
        assert b"connected" not in words


#: A notebook whose first cell imports Ray, which reads its mode, token and range then.
IMPORTED_BEFORE = """
import psutil
import ray
from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.config.schema import RayConfig

with ray_cluster(RayConfig(num_cpus=1)) as found:
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    print(found.cluster_resources()["CPU"], *sorted(listening - {"::1", "::ffff:127.0.0.1"}))
"""


def test_a_process_that_imported_ray_before_gets_the_same_cluster() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", IMPORTED_BEFORE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200, check=False)
    assert done.stdout.split() == ["1.0", "127.0.0.1"], done.stderr[-2000:]
