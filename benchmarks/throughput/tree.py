"""CPU seconds and memory of a command with everything it starts, sampled from outside."""

from __future__ import annotations

import subprocess
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_SAMPLE_S = 0.5
#: CPU seconds by process id and start.
Seen = dict[tuple[int, float], float]


@dataclass
class Tree:
    """Samples of one command and its descendants, Ray's daemons and actors included."""

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds so far, those of ended processes as last seen
    peak_rss: int = 0  # bytes; memory that processes share counts once for each

    def cpu_seconds(self, begin: float, end: float) -> float:
        """CPU seconds between two times of the wall clock, between samples by their neighbour."""
        at = [self.cpu[min(bisect_left(self.times, moment), len(self.cpu) - 1)] for moment in (begin, end)]
        return at[1] - at[0]


def run_watched(command: Sequence[str], env: Mapping[str, str], log: Path) -> Tree:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message ends with its last words.
    """
    tree, seen = Tree(), Seen()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=dict(env), stdout=stream, stderr=stream)
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, tree, seen, done), daemon=True)
        watcher.start()
        code = process.wait()
        done.set()
        watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)}: exit code {code}\n{log.read_text(errors='replace')[-3000:]}")
    return tree


def _watch(pid: int, tree: Tree, seen: Seen, done: threading.Event) -> None:
    while not done.wait(_SAMPLE_S):
        try:
            memory = look(psutil.Process(pid), seen)
        except psutil.NoSuchProcess:
            continue
        tree.times.append(time.time())
        tree.cpu.append(sum(seen.values()))
        tree.peak_rss = max(tree.peak_rss, memory.total())


def look(root: psutil.Process, seen: Seen) -> Counter[str]:
    """One look at a process and its descendants; `seen` keeps the CPU seconds of those that have ended meanwhile.

    Returns:
        Resident bytes by program, such as `java`.
    """
    memory = Counter[str]()
    for member in (root, *root.children(recursive=True)):
        try:
            times, resident = member.cpu_times(), member.memory_info().rss
            seen[member.pid, member.create_time()] = times.user + times.system
            memory[member.name()] += resident
        except psutil.NoSuchProcess:
            continue
    return memory
