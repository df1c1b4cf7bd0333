"""Compare-and-swap, probe, leases and journals on real servers of three object stores, with two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.clouds import CLOUDS, Cloud, cloud, reachable
from tests.support.published import marker_of, published, write_marker
from uniner_dist.annotations.journal import carry_out, changes_by_folder, finish_begun
from uniner_dist.errors import RunHeldError, StageError
from uniner_dist.storage import conditional
from uniner_dist.storage.conditional import read_version, swap
from uniner_dist.storage.control_files import ControlFileError, Journal, write_control
from uniner_dist.storage.filesystem import find_files, list_names, read_bytes, read_json, write_bytes
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import read_marker, read_marker_version, swap_marker
from uniner_dist.storage.marker_file import encode_marker
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.probe import check_storages

#: Adds one to a number in a file, so and so often, each time by compare-and-swap.
_COUNTER = """
import os, sys
from uniner_dist.storage.conditional import read_version, swap
path, times = sys.argv[1], int(sys.argv[2])
for _ in range(times):
    while True:
        seen = read_version(path)
        if swap(path, seen, f"{int(seen.data.split()[0]) + 1} by {os.getpid()}".encode()):
            break
"""
_TIMES = 6
COLUMNS = pa.schema([("doc_id", pa.string())])


@pytest.fixture(scope="module", params=["s3", *(pytest.param(name, marks=pytest.mark.slow) for name in CLOUDS[1:])])
def server(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with cloud(request.param) as one:
        yield one


@pytest.fixture
def store(server: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A store that this process and its children find by environment variables."""
    with reachable(server, monkeypatch) as found:
        yield found


def test_two_processes_that_swap_lose_no_change(store: Cloud) -> None:
    path = f"{store.url}/cas/number"
    assert swap(path, None, b"0")
    assert not swap(path, None, b"7"), "it is there"
    command = [sys.executable, "-c", _COUNTER, path, str(_TIMES)]
    others = [subprocess.Popen(command, env=dict(os.environ)) for _ in range(2)]
    assert [other.wait(120) for other in others] == [0, 0]
    assert int(read_bytes(path).split()[0]) == 2 * _TIMES


def test_an_old_version_is_refused_and_a_lost_answer_recognised(store: Cloud) -> None:
    path = f"{store.url}/cas/versions"
    write_bytes(path, b"first")
    seen = read_version(path)
    assert seen is not None
    assert seen.data == b"first"
    write_bytes(path, b"second")
    assert not swap(path, seen, b"third")
    assert read_bytes(path) == b"second"
    now = read_version(path)
    assert now is not None
    assert swap(path, now, b"third")
    assert swap(path, now, b"third"), "what was sent again by the client"
    assert read_version(f"{store.url}/cas/missing") is None


def test_a_bucket_can_all_that_is_relied_on(store: Cloud, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workdir = f"{store.url}/probed/work"
    check_storages(workdir, [workdir, f"{store.url}/probed/out.lease/holders", str(tmp_path)])
    pinned = read_json(f"{workdir}/storage.json")["storages"]
    assert pinned[store.url] == {"exclusive": "put", "weaker": []}
    assert len(pinned) == 2
    assert list_names(workdir) == ["storage.json"], "nothing is left of the trial"
    assert [record for record in caplog.records if record.name.startswith("uniner_dist")] == []


def test_a_store_that_overlooks_conditions_is_named(
    store: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As some servers that speak S3."""
    monkeypatch.setattr(conditional, "_CONDITIONAL", dict.fromkeys(("s3", "gs", "az"), _put_always))
    check_storages(str(tmp_path), [f"{store.url}/lax/work"])
    assert "replaces files whatever the condition" in caplog.text
    assert "replaces files" in read_json(f"{tmp_path}/storage.json")["storages"][store.url]["weaker"][0]


def _put_always(fs: Any, path: str, data: bytes, version: str) -> None:
    fs.pipe_file(path, data)


def test_one_process_holds_a_lease_and_its_marker_is_its_own(store: Cloud) -> None:
    output = f"{store.url}/leased/out"
    write_marker(output, marker_of(a=published()))
    with hold_lease(OutputLayout(output)) as lease:
        assert lease.generation == 1
        with pytest.raises(RunHeldError, match="works on it"), hold_lease(OutputLayout(output)):
            pass
        before = read_marker_version(output)
        assert before is not None
        after = swap_marker(output, before, before.marker.model_copy(update={"carried": ("x",)}), COLUMNS)
        with pytest.raises(StageError, match="was changed by another process"):
            swap_marker(output, before, before.marker, COLUMNS)
        assert swap_marker(output, after, after.marker, COLUMNS).marker.carried == ("x",)
    with hold_lease(OutputLayout(output)) as lease:
        assert lease.generation == 2


def test_a_local_workdir_publishes_to_a_bucket_and_is_finished_by_another(store: Cloud, tmp_path: Path) -> None:
    output, layout = f"{store.url}/mixed/out", RunLayout(str(tmp_path / "work"), "a" * 12, token=1)
    write_bytes(f"{output}/part-old.parquet", b"old")
    write_marker(output, marker_of(b=published()))
    source = f"{layout.staging}/part-new.parquet"
    write_bytes(source, encode_marker(marker_of(), COLUMNS))  # any Parquet
    changes = changes_by_folder({"part-new.parquet": source}, ["part-old.parquet"])
    write_control(layout.publication, Journal(run_id="a" * 12, changes=changes, entry=published(order=2)))
    before = read_marker_version(output)
    assert before is not None
    left = [2]

    def dies() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RunHeldError("killed")

    with pytest.raises(RunHeldError):
        carry_out(output, before, layout.publication, layout.workdir, "000001", dies)
    cut_off = read_marker_version(output)
    assert cut_off is not None
    assert cut_off.marker.publishing == layout.publication
    with pytest.raises(ControlFileError, match="another kind of storage"):
        finish_begun(output, cut_off, f"{store.url}/other/work", "000002", lambda: None)
    finish_begun(output, cut_off, str(tmp_path / "other"), "000002", lambda: None)
    assert list(find_files(output)) == ["part-new.parquet"]
    marker = read_marker(output)
    assert marker is not None
    assert (sorted(marker.runs), marker.publishing) == (["a" * 12, "b" * 12], None)
