"""The main job on object stores and on HDFS, with the Spark that pip installs: killed, resumed, grown, erased from."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import DOCUMENTS, SCRIPTED, annotate, read_rows, rows_on_store, run, uniner_dist
from tests.support.clouds import CLOUDS, Cloud, cloud
from uniner_dist.storage.filesystem import find_files, list_names, read_bytes, write_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3600)]
#: Each task of Spark starts a Python of its own here and speaks to a server on the same two cores: few tasks.
FEW_TASKS = ["--set", "spark.master=local[2]", "--set", "spark.conf={spark.sql.shuffle.partitions: '2'}"]
SMALL = [*SCRIPTED, *FEW_TASKS]
#: A busy machine is no failure.
PATIENT_S = 1200.0


@pytest.fixture(params=[*CLOUDS, "hdfs"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A store on loopback, which this process and its children find by environment variables alone."""
    with cloud(request.param) as one:
        for name, value in one.environment.items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class(one.scheme).clear_instance_cache()
        yield one
        fsspec.get_filesystem_class(one.scheme).clear_instance_cache()


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, str], dict[str, Any]]:
    """What the same job gives on local disks."""
    output = tmp_path_factory.mktemp("local") / "out"
    go(annotate(corpus, output, *SMALL))
    return read_rows(output)


def command(store: Cloud, types: str, *more: str) -> list[str]:
    places = ["--corpus", f"{store.url}/corpus", "--output", f"{store.url}/out", "--types", types]
    return uniner_dist("annotate", *places, *SMALL, *more)


def kill_amid_completions(arguments: list[str], runs: str) -> str:
    """Start a command, kill it outright when some shards are committed; returns what it said."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + PATIENT_S
    while not (names := list_names(runs)) or len(list_names(f"{runs}/{names[0]}/completions")) < 2:
        assert time.monotonic() < deadline, "no shard was committed in time"
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def go(arguments: list[str]) -> str:
    """Run a command to its end; returns what it said."""
    begun = time.monotonic()
    said = run(arguments, timeout_s=PATIENT_S)
    print(f"{arguments[1]}: {time.monotonic() - begun:.0f} s")
    return said


def test_a_job_killed_and_resumed_on_a_store_costs_no_row(
    store: Cloud, corpus: Path, undisturbed: dict[tuple[Any, str], dict[str, Any]], tmp_path: Path
) -> None:
    for path in corpus.rglob("*.parquet"):
        write_bytes(f"{store.url}/corpus/{path.relative_to(corpus)}", path.read_bytes())
    out, work, runs = (f"{store.url}/{name}" for name in ("out", "out.work", "out.work/runs"))

    slow = command(store, "person,location", "--set", "engine.extra.slow_s=0.05")
    words = kill_amid_completions(slow, runs)
    assert list_names(out) == [], "nothing is visible before it is published"
    words += go(slow)
    assert ("a cluster whose Spark has a connector for it is faster" in words) is (store.scheme != "hdfs")
    assert rows_on_store(out) == undisturbed

    words += go(uniner_dist("retry", "--workdir", work, "--set", "engine.extra.slow_s=0.05", *FEW_TASKS))
    words += go(command(store, "person,location,date"))
    grown = rows_on_store(out)
    assert len(grown) == 3 * DOCUMENTS, "published over what was there"

    gold = tmp_path / "gold.parquet"
    found = {key: row["entities"] for key, row in grown.items() if key[1] == "person"}
    entities = [[entity["text"] for entity in row] for row in found.values()]
    columns = {"doc_id": [key[0] for key in found], "entity_type": ["person"] * len(found), "entities": entities}
    pq.write_table(pa.table(columns), gold)
    words += (scores := go(uniner_dist("evaluate", "--annotations", out, "--gold", str(gold))))
    assert "1.000" in scores

    erased = next(iter(found))[0]
    words += go(uniner_dist("forget", "--workdir", work, "--id", erased))
    assert {key[0] for key in grown} - {key[0] for key in rows_on_store(out)} == {erased}

    places = {name: read_bytes(f"{runs}/{name}").decode(errors="replace") for name in find_files(runs)}
    told = {**places, "words": words}
    assert [place for place, content in told.items() if any(secret in content for secret in store.secrets)] == []
