"""Clocks: wall time, CPU seconds of a process and its children, and the idle share of a GPU."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil


class Clock:
    """Wall clock, and CPU seconds of this process and of those it started, from its making to `stop`."""

    def __init__(self) -> None:
        self._begin, self._cpu = time.time(), self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float]:
        own = psutil.Process()
        times = [sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True))]
        return times[0], sum(times[1:])

    def stop(self) -> dict[str, Any]:
        """`begin` and `end` (seconds since the epoch), CPU of the front end and of the engine's own processes."""
        front, engine = (now - then for now, then in zip(self._seconds(), self._cpu, strict=True))
        return {"begin": self._begin, "end": time.time(), "front_end_cpu_s": front, "engine_cpu_s": engine}


class GpuWatch:
    """Share of time in which a kernel ran, as the driver tells it; nothing without a GPU."""

    def __init__(self, gpu: bool, path: Path) -> None:
        self._path, self._process = path, None
        if gpu and shutil.which("nvidia-smi"):
            command = [
                "nvidia-smi",
                "--query-gpu=timestamp,utilization.gpu",
                "--format=csv,noheader,nounits",
                "-lms",
                "200",
            ]
            self._process = subprocess.Popen(command, stdout=path.open("w"), stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End the watching."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def idle_share(self, begin: float, end: float) -> float | None:
        """Idle share between two moments of the wall clock."""
        if self._process is None:
            return None
        busy = [used for at, used in map(_sample, self._path.read_text().splitlines()) if begin <= at <= end]
        return 1 - sum(busy) / len(busy) / 100 if busy else None


def _sample(line: str) -> tuple[float, float]:
    stamp, _, used = line.partition(", ")
    seconds, _, fraction = stamp.partition(".")
    return time.mktime(time.strptime(seconds, "%Y/%m/%d %H:%M:%S")) + float(f"0.{fraction or 0}"), float(used or 0)
