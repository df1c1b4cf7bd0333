"""What a cluster shows while it works: its metrics, and where its processes listen."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil


def scrape(ray: Any) -> str:
    """What the agents of all nodes serve."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    urls = [f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics" for node in nodes]
    return "".join(urllib.request.urlopen(url, timeout=1200).read().decode() for url in urls)


def wait_for(ray: Any, is_there: Callable[[str], bool]) -> str:
    """Ray hands metrics on every ten seconds."""
    deadline = time.monotonic() + 1200
    while True:
        text = scrape(ray)
        if is_there(text):
            return text
        assert time.monotonic() < deadline, "\n".join(line for line in text.splitlines() if "uniner" in line)
        time.sleep(0.5)


def listens(process: psutil.Process) -> list[tuple[str, str]]:
    """Name of a process and the addresses that it listens on; nothing for one that has just left."""
    try:
        connections = [c for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        return [(process.name(), c.laddr.ip.removeprefix("::ffff:")) for c in connections]
    except psutil.Error:
        return []
