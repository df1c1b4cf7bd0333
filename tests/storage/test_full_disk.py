"""No space left on device, for real: the job fails in words, and goes on when there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.full_disk import MOMENTS

pytestmark = [pytest.mark.e2e, pytest.mark.chaos]
ROOT = Path(__file__).parents[2]
#: A private mount namespace, as root of a user namespace of its own.
UNSHARE = ["unshare", "--map-root-user", "--mount"]


def why_not(folder: Path) -> str | None:
    """Why this machine lets nobody mount a small file system; None when it does."""
    try:
        probe = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip()


@pytest.mark.slow
def test_a_full_disk_fails_each_stage_in_words_and_the_job_resumes(tmp_path: Path) -> None:
    reason = why_not(tmp_path)
    if reason is not None:
        pytest.skip(f"no file system can be mounted here: {reason}")
    command = [*UNSHARE, sys.executable, "-m", "tests.support.full_disk", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert list(seen["failures"]) == list(MOMENTS)
    for stage, (code, said) in seen["failures"].items():
        assert code == 3, (stage, said)
        assert "no space left on device" in said.lower(), (stage, said)
        assert "Traceback" not in said, (stage, said)
    assert not seen["published"]
    assert seen["code"] == 0, seen["said"]
    assert seen["equal"]
