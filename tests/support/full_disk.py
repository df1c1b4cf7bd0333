"""The main job on a disk that is really full: a small file system of its own, filled at chosen moments.

`unshare -rm python -m tests.support.full_disk FOLDER` mounts a tmpfs in the process's private mount namespace, runs the
command again and again on it, and prints a JSON of what happened; `test_full_disk.py` asserts on it.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.storm import make_corpus, read_rows
from uniner_dist.cli.app import main
from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import RayConfig
from uniner_dist.spark.session import spark_session

DISK_MB = 24
#: A file or folder of the run whose appearance fills the disk; the stage that is at work must fail.
MOMENTS = {"prompts": "config.json", "completions": "prompts.json", "annotations": "publishing/*/answers"}
SETTINGS = {
    "engine.kind": "scripted",
    # Slow enough that the disk is full before the first shard is done.
    "engine.extra.slow_s": "0.01",
    "engine.extra.batch": "8",
    "pool.replicas": "1",
    "pool.cpus_per_replica": "0.5",
    "prompts.min_shards": "4",
}


def annotate(corpus: Path, output: Path) -> tuple[int, str]:
    """Run the command in this process; returns its exit code and what it said."""
    places = ["--corpus", str(corpus), "--output", str(output), "--types", "person,location"]
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(["annotate", *places, *settings])
    return code, said.getvalue()


@contextlib.contextmanager
def full_from(disk: Path, pattern: str) -> Iterator[None]:
    """Fill the disk when a file appears; make room again at the end of the block."""
    over = threading.Event()
    ballast = disk / "ballast"

    def fill() -> None:
        while not over.is_set():
            if list(disk.glob(f"out.work/runs/*/{pattern}")):
                with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as stream:
                    while stream.write(bytes(4096)):
                        pass
            time.sleep(0.001)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        ballast.unlink(missing_ok=True)


def run(folder: Path) -> dict[str, Any]:
    """The undisturbed job, then one that meets the full disk in each stage, then room."""
    corpus, calm, disk = folder / "corpus", folder / "calm", folder / "disk"
    make_corpus(corpus, 30)
    assert annotate(corpus, calm)[0] == 0
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], check=True)
    failures = {}
    for stage, pattern in MOMENTS.items():
        with full_from(disk, pattern):
            failures[stage] = annotate(corpus, disk / "out")
    published = (disk / "out").exists()
    code, said = annotate(corpus, disk / "out")
    equal = code == 0 and read_rows(disk / "out") == read_rows(calm)
    return {"failures": failures, "published": published, "code": code, "said": said, "equal": equal}


if __name__ == "__main__":
    # One session and one cluster for all starts.
    config = load_config(None, [], {"corpus.path": "-", "output.path": "-", "types": "person"})
    with ray_cluster(RayConfig(num_cpus=2)), spark_session(config, quick=True):
        print(json.dumps(run(Path(sys.argv[1]))), flush=True)
