"""A cluster that dies while it is used ends the process with an error, instead of calls that block for ever."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import psutil

from uniner_dist.errors import StageError
from uniner_dist.runtime.signals import signal_handlers

#: Child processes without which a cluster of ours cannot work.
_VITAL = {"gcs_server", "raylet"}
#: Seconds between two checks of a cluster's vital parts.
_LOOK_S = 1.0
#: A gcs of another machine counts as gone when no connection succeeded for this long.
_UNREACHABLE_S = 40.0
#: Seconds for the main thread to notice that the cluster is lost, and then to leave, before the process ends hard.
_NOTICE_S, _LEAVE_S = 10.0, 20.0


def check_cluster() -> None:
    """Check that the cluster is alive; call it before anything that would block without one.

    Raises:
        StageError: a part that Ray cannot do without is gone.
    """
    if ClusterWatch.current is not None:
        ClusterWatch.current.check()


def watch_cluster(attended: bool) -> None:
    """Say whether somebody is waiting for the cluster; a lost one that nobody waits for must not end the process.

    Args:
        attended: whether a call uses the cluster from now on; False after it, while a notebook keeps the cluster.
    """
    if ClusterWatch.current is not None:
        ClusterWatch.current.attend() if attended else ClusterWatch.current.unattended()


def cluster_is_lost() -> bool:
    """Return whether nothing more can be asked of the cluster; False where none was joined."""
    return ClusterWatch.current is not None and ClusterWatch.current.lost is not None


class ClusterWatch:
    """A thread that checks the parts a cluster cannot do without, from the moment that it begins to start.

    Ray's calls block for a minute when the gcs is dead and then end the process, and wait for ever when the only raylet
    is. The main thread learns of a lost cluster by `check`; if it is stuck in such a call, the process ends here.

    Args:
        address: "local" for a cluster that this process is about to start; else the address that is joined.
    """

    current: ClusterWatch | None = None

    def __init__(self, address: str) -> None:
        self._address, self._reached_s = address, time.monotonic()
        self._starting = address == "local"
        self._vital: dict[str, psutil.Process] = {}
        self._remote: tuple[str, int] | None = None
        self.lost: str | None = None
        self._noticed, self._done = threading.Event(), threading.Event()
        ClusterWatch.current = self
        threading.Thread(target=self._run, name="cluster-watch", daemon=True).start()

    def connected(self, ray: Any) -> None:
        """Take note that the cluster has started, or was joined, and is complete.

        Args:
            ray: the connected `ray` module, which knows the address of the gcs; not asked for a `ray://` address.
        """
        if self._starting:
            self._find_processes()
            self._starting = False
        elif not self._address.startswith("ray://"):
            self._remote = _gcs_address(ray)

    def check(self) -> None:
        """Check that the cluster is alive.

        Raises:
            StageError: it is lost.
        """
        lost = self.lost or self._look_at_processes()
        if lost is not None:
            self.lost = lost
            self._noticed.set()
            raise StageError(lost)

    def unattended(self) -> None:
        """Note that nobody waits for the cluster now."""
        self._noticed.set()

    def attend(self) -> None:
        """Note that somebody waits for the cluster from now on."""
        self._reached_s = time.monotonic()
        self._noticed.clear()

    def leave(self) -> None:
        """Disconnect from the cluster, or stop it if it is ours."""
        import ray

        self._noticed.set()
        with signal_handlers():  # Ray's library leaves SIGTERM at the system's default, unknown to Python
            ray.shutdown()
        self._done.set()
        ClusterWatch.current = None

    def _run(self) -> None:
        while self.lost is None:
            if self._done.wait(_LOOK_S):
                return
            if not self._noticed.is_set():
                lost = self._look_at_processes() or self._look_at_remote()
                # A caller that leaves meanwhile ends these parts on purpose; one that checks has set `lost` itself.
                if lost is not None and not self._noticed.is_set():
                    self.lost = lost
        if self._noticed.wait(_NOTICE_S) and self._done.wait(_LEAVE_S):
            return
        print(f"error: {self.lost}", file=sys.stderr, flush=True)
        os._exit(StageError.exit_code)

    def _find_processes(self) -> None:
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                if child.name() in _VITAL:
                    self._vital.setdefault(child.name(), child)

    def _look_at_processes(self) -> str | None:
        if self._starting:
            self._find_processes()
        for name, process in list(self._vital.items()):
            if not _runs(process):
                return (
                    f"the local Ray cluster died (its {name} is gone); the same command resumes from what is committed"
                )
        return None

    def _look_at_remote(self) -> str | None:
        if self._remote is None:
            return None
        try:
            socket.create_connection(self._remote, timeout=5).close()
            self._reached_s = time.monotonic()
        except OSError:
            if time.monotonic() - self._reached_s > _UNREACHABLE_S:
                where = f"{self._remote[0]}:{self._remote[1]}"
                return f"ray.address {self._address}: the cluster's head at {where} cannot be reached any more"
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _gcs_address(ray: Any) -> tuple[str, int]:
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host.strip("[]"), int(port)
