"""A Ray cluster that was there before, whose Python has neither this project nor pyspark, joined in every way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import MakeRun
from tests.support.pool import TYPES, assert_answers, texts
from tests.support.ray_cluster import ACCESS, Head, bare_environment, ray_head
from uniner_dist.run.run import Run

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with ray_head(bare_environment(tmp_path_factory.mktemp("bare"))) as running:
        yield running


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command on the user's machine, where everything is; stdout has all that it said."""
    options: dict[str, Any] = {"cwd": ROOT, "env": {**os.environ, **ACCESS}, "timeout": 300}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)


def run(command: list[str], code: int = 0) -> str:
    """Run a command to its end, assert its exit code, return what it said."""
    done = start(command)
    assert done.returncode == code, done.stdout[-4000:]
    return done.stdout


def completions(made: Run, address: str) -> list[str]:
    """The stage alone; an address is never taken from the run's folder."""
    command = [str(BIN / "uniner-dist"), "completions", "--workdir", made.layout.workdir]
    return [*command, "--set", f"ray.address={address}"]


def test_replicas_get_this_project_from_the_driver(head: Head, make_run: MakeRun) -> None:
    made = make_run([texts(20, seed) for seed in range(4)], TYPES, ray={"address": head.address})
    run(completions(made, head.address))
    assert_answers(made)


@pytest.mark.slow
def test_ray_client_controls_the_replicas_as_well(head: Head, make_run: MakeRun) -> None:
    made = make_run([texts(20, seed) for seed in range(4)], TYPES, ray={"address": head.client})
    command = completions(made, head.client)
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
    said = run(completions(made, head.address), code=3)
    assert "the cluster runs Ray 2.1.0 on Python 3.9.2, and this command Ray" in said
    assert "Traceback" not in said
