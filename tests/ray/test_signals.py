"""Signals of a process that has had a Ray cluster: its library sets handlers of its own below Python's."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray

_CODE = """
import os, signal
from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.config.schema import RayConfig
from uniner_dist.errors import DrainedError
from uniner_dist.runtime.signals import stop_on_signals
try:
    with stop_on_signals():
        with ray_cluster(RayConfig(num_cpus=1)):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
except DrainedError as error:
    print(error)
"""


def test_sigterm_is_a_request_to_stop_after_the_cluster_is_gone() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stopped by SIGTERM")
