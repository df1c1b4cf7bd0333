"""How to get a Ray cluster: start one on this machine or on Spark's executors, or join the one that is there.

A cluster that we start uses token authentication, sends no usage statistics, and is stopped when the `with` block ends,
or by `uniner_dist.runtime.orphans` when the command is killed; one on this machine listens on loopback only. A cluster
that was there before is left as it was, and its workers get this project from here. A cluster that dies under us ends
the command with the exit code of a `StageError`, where Ray by itself would hang, or end the process with code 1.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil

from uniner_dist.cluster.spawning import without_fork
from uniner_dist.config.schema import RayConfig, SparkConfig
from uniner_dist.errors import DrainedError, StageError
from uniner_dist.runtime.orphans import marked
from uniner_dist.runtime.signals import signal_handlers, uninterrupted

#: Environment of a cluster of our own while it starts.
_LOCAL: Mapping[str, str] = {
    # Ray's name for "this machine only": gcs, raylet, agents and workers listen on 127.0.0.1 instead of everywhere.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A call to a dead gcs blocks for this long, after which Ray ends the process; `_Watch` is faster.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "45",
}
#: What Ray sets in the processes of `ray job submit`: there, the job says what its workers get.
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
#: This project, which the workers of a cluster that we join get from here: nothing is to be installed there, and
#: replicas run the same code as the driver.
_PACKAGE = Path(__file__).parents[1]
#: Our children without which a cluster of ours cannot live.
_VITAL = {"gcs_server", "raylet"}
#: Seconds between looks at a cluster's vital parts.
_LOOK_S = 1.0
#: A gcs of another machine counts as gone when no connection succeeded for this long.
_UNREACHABLE_S = 40.0
#: Seconds for the main thread to notice that the cluster is lost, and then to leave, before the process ends hard.
_NOTICE_S, _LEAVE_S = 10.0, 20.0


@contextmanager
def ray_cluster(config: RayConfig, spark: SparkConfig | None = None) -> Iterator[Any]:
    """The `ray` module, connected.

    Args:
        spark: the Spark cluster that `ray.address: spark` is about.

    Raises:
        StageError: the cluster cannot be reached or refuses us.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A CPU replica must not be given all GPUs of a machine, nor lose sight of the ones it has.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = config.address == "local"
    if local or config.address == "spark":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with ExitStack() as around:
        with _environment(_LOCAL if local else {}), marked() if local else nullcontext():
            import ray

            if ray.is_initialized():
                yield ray
                return
            around.enter_context(_environment_read_again(alone=local))
            address = around.enter_context(_on_spark(config, spark)) if config.address == "spark" else config.address
            watch = _Watch(address)
            try:
                _connect(ray, config, address)
            except BaseException:
                watch.leave()
                raise
        watch.connected(ray)
        try:
            yield ray
        finally:
            watch.leave()


def _on_spark(config: RayConfig, spark: SparkConfig | None) -> AbstractContextManager[str]:
    from uniner_dist.cluster.on_spark import ray_on_spark

    return ray_on_spark(spark or SparkConfig(), config.spark)


@contextmanager
def _environment_read_again(alone: bool) -> Iterator[None]:
    """Let Ray see its mode, token and range of now: it reads them when it is imported, perhaps long ago by the user.

    Args:
        alone: whether the cluster is one of ours, on loopback.
    """
    from ray._private import ray_constants

    with suppress(ImportError, AttributeError):  # internals of Ray that it uses for this itself
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
    if not alone or not hasattr(ray_constants, "ENABLE_RAY_CLUSTER"):
        yield
        return
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def check_cluster() -> None:
    """Make sure that the cluster is there; call it before anything that would block without one.

    Raises:
        StageError: a part that Ray cannot do without is gone.
    """
    if _Watch.current is not None:
        _Watch.current.check()


def watch_cluster(attended: bool) -> None:
    """Say whether somebody is waiting for the cluster; a lost one that nobody waits for must not end the process."""
    if _Watch.current is not None:
        _Watch.current.attend() if attended else _Watch.current.unattended()


def cluster_is_lost() -> bool:
    """Whether nothing more can be asked of the cluster."""
    return _Watch.current is not None and _Watch.current.lost is not None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; those that are set already stay."""
    added = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _connect(ray: Any, config: RayConfig, address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "uniner-dist"}
    if address == "local":
        options |= {"include_dashboard": False, "num_cpus": config.num_cpus, "_node_ip_address": "127.0.0.1"}
        options |= {"_metrics_export_port": config.metrics_port}
    elif _SUBMITTED not in os.environ and _PACKAGE.is_dir():
        options |= {"runtime_env": {"py_modules": [str(_PACKAGE)]}}
    try:
        # Ray's own handlers print a stack trace at SIGTERM and end the process.
        with uninterrupted(), signal_handlers(), without_fork():
            ray.init(address=address, **options)
    except DrainedError:
        raise
    except Exception as error:  # a start that takes too long is a plain Exception
        raise StageError(f"ray.address {config.address}: {_refusal(str(error))}") from error


def _refusal(words: str) -> str:
    """Why a cluster does not take us: Ray's words without its server's stack trace; versions that differ in ours."""
    versions = re.search(r"Version mismatch: .*?" + 2 * r"Ray: (\S+)\s+Python: (\S+).*?", words, re.DOTALL)
    if versions is None:
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        return f"{lines[0]} {lines[-1]}" if "Traceback (most recent call last):" in lines else words
    return (
        "the cluster runs Ray {} on Python {}, and this command Ray {} on Python {}; "
        "both must be the same, to the last digit".format(*versions.groups())
    )


class _Watch:
    """A thread that looks at the parts a cluster cannot do without, from the moment that it begins to start.

    Ray's calls block for a minute when the gcs is dead and then end the process, and wait for ever when the only raylet
    is. The main thread learns of it by `check`; if it is stuck in such a call, the process ends here.
    """

    current: _Watch | None = None

    def __init__(self, address: str) -> None:
        self._address, self._reached_s = address, time.monotonic()
        self._starting = address == "local"
        self._vital: dict[str, psutil.Process] = {}
        self._remote: tuple[str, int] | None = None
        self.lost: str | None = None
        self._noticed, self._done = threading.Event(), threading.Event()
        _Watch.current = self
        threading.Thread(target=self._run, name="cluster-watch", daemon=True).start()

    def connected(self, ray: Any) -> None:
        """The cluster has started or was joined, and is complete."""
        if self._starting:
            self._find_processes()
            self._starting = False
        elif not self._address.startswith("ray://"):
            self._remote = _gcs_address(ray)

    def check(self) -> None:
        if self.lost is None:
            self.lost = self._look_at_processes()
        if self.lost is not None:
            self._noticed.set()
            raise StageError(self.lost)

    def unattended(self) -> None:
        self._noticed.set()

    def attend(self) -> None:
        self._reached_s = time.monotonic()
        self._noticed.clear()

    def leave(self) -> None:
        """Disconnect from the cluster, or stop it if it is ours."""
        import ray

        self._noticed.set()
        ray.shutdown()
        self._done.set()
        _Watch.current = None

    def _run(self) -> None:
        while self.lost is None:
            if self._done.wait(_LOOK_S):
                return
            if not self._noticed.is_set():
                self.lost = self._look_at_processes() or self._look_at_remote()
        if self._noticed.wait(_NOTICE_S) and self._done.wait(_LEAVE_S):
            return
        print(f"uniner-dist: StageError:\n{self.lost}", file=sys.stderr, flush=True)
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
                    f"the local Ray cluster died (its {name} is gone); the same command goes on from what is committed"
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
