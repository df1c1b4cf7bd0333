"""What safety costs a start on a local disk: trying the storage out, taking leases, looking for what was cut off.

    .venv/bin/python -m benchmarks.start_up

Each round is a workdir of its own. "First" also tries the storage out, with a second process; "next" finds that pinned.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa

from uniner_dist.annotations.journal import finish_begun
from uniner_dist.completions.retry import read_retry
from uniner_dist.config.loading import validate_tree
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Marker
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import MarkerVersion, read_marker_version, swap_marker
from uniner_dist.storage.place_layout import OutputLayout

ROUNDS = 20
COLUMNS = pa.schema([("doc_id", pa.string())])


def _run(folder: str) -> Run:
    tree = {"corpus": {"path": f"{folder}/c"}, "output": {"path": f"{folder}/out"}, "types": "person"}
    config = validate_tree(tree)
    run = Run(config, RunLayout(config.workdir_path, "a" * 12), "f" * 16, "m", "m", "/c", 1, 1, ())
    swap_marker(config.output.path, MarkerVersion(marker := Marker(id_column="doc_id")), marker, COLUMNS)
    return run


def _start(run: Run) -> None:
    """Everything but the stages themselves: the run's lease, its journals, and the output's lease and marker."""
    output = run.config.output.path
    with working_on(run) as (run, lease, _):
        read_retry(run)
        exists(run.layout.renewed)
        lease.check()
        with hold_lease(OutputLayout(output)) as held:
            before = read_marker_version(output)
            assert before is not None
            finish_begun(output, before, run.layout.workdir, f"{held.generation:06d}", held.check)
            held.check()


def _seconds(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Print median and slowest of some rounds."""
    times: dict[str, list[float]] = {"first": [], "next": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            run = _run(str(Path(folder).resolve()))
            for kind in times:
                times[kind].append(_seconds(partial(_start, run)))
    for kind, found in times.items():
        print(f"{kind} start: median {statistics.median(found):.3f} s, slowest {max(found):.3f} s of {ROUNDS}")


if __name__ == "__main__":
    main()
