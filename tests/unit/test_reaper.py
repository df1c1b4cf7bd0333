"""What a command started ends with it, however it ends; nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

#: A command with a child, a grandchild in a session of its own, and a process that it started outside of its family.
COMMAND = """
import os, subprocess, sys, time
from uniner_dist.runtime.orphans import tag_children

nap = [sys.executable, "-c", "import time; time.sleep(600)"]
stranger = subprocess.Popen(nap)
with tag_children():
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys, time\\n"
         f"print(subprocess.Popen({nap!r}, start_new_session=True).pid, flush=True)\\ntime.sleep(600)"],
        stdout=subprocess.PIPE, text=True,
    )
print(stranger.pid, parent.pid, parent.stdout.readline().strip(), flush=True)
sys.stdin.readline()
"""


def wait_for_end(pids: list[int]) -> list[int]:
    """Pids that live on."""
    deadline = time.monotonic() + 1200
    while time.monotonic() < deadline and any(is_alive(pid) for pid in pids):
        time.sleep(0.05)
    return [pid for pid in pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_family_of_a_killed_command_ends_with_it_and_strangers_stay(number: int) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert command.stdout is not None
    stranger, *family = map(int, command.stdout.readline().split())
    try:
        assert all(is_alive(pid) for pid in (stranger, *family))
        os.kill(command.pid, number)
        command.wait(timeout=1200)
        assert wait_for_end(family) == []
        assert is_alive(stranger)
    finally:
        for pid in (stranger, *family):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        command.communicate()
