"""Whole commands in their own processes, as a user starts them."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FSSpecHandler, PyFileSystem

from uniner_dist.cli.app import main
from uniner_dist.storage.filesystem import open_fs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TYPES = "person,location"
#: A scripted engine, one replica that needs little: for what the tests of commands are about, not for answers.
SCRIPTED = ["--set", "engine.kind=scripted", "--set", "pool.replicas=1", "--set", "pool.backoff_s=0.1"]


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """A command in a process group of its own; its output is one stream."""
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "COLUMNS": "200"}
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        start_new_session=True,
        **options,
    )


def run(arguments: Sequence[str], code: int = 0, timeout_s: float = 1200) -> str:
    """Run a command to its end, assert its exit code, return its output."""
    process = start(arguments)
    output, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == code, f"exit code {process.returncode}, not {code}:\n{output[-4000:]}"
    return output


def call(arguments: Sequence[str], code: int = 0) -> str:
    """Like `run`, but in this process, whose Spark session and Ray cluster are warm: for the starts after the first."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.setenv("COLUMNS", "200")
        left_with = main(arguments[1:])
    assert left_with == code, f"exit code {left_with}, not {code}:\n{said.getvalue()[-4000:]}"
    return said.getvalue()


def uniner_dist(*arguments: str) -> list[str]:
    """The installed command."""
    return [str(BIN / "uniner-dist"), *arguments]


def annotate(corpus: Path, output: Path, *more: str) -> list[str]:
    """The main command with what every test gives."""
    return uniner_dist("annotate", "--corpus", str(corpus), "--output", str(output), "--types", TYPES, *more)


def read_rows(output: Path) -> dict[tuple[Any, str], dict[str, Any]]:
    """Published annotations by (document, type), without what names the run; asserts that no key repeats."""
    table = pads.dataset(output, format="parquet", partitioning="hive").to_table()
    rows = table.drop_columns(["run_id"]).to_pylist()
    found = {(row["doc_id"], row["entity_type"]): row for row in rows}
    assert len(found) == len(rows), "a (document, type) occurs more than once"
    return found


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 short documents in two partitions, with duplicates and a few rows that cannot be used."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    rng = random.Random(3)
    names = ["Paula", "Lima", "Erik", "Oslo", "Nadia", "Turin", "Rosa", "Zed", "Ida", "Tokyo"]
    for domain in ("news", "mail"):
        ids: list[str | None] = [f"{domain}-{i}" for i in range(120)]
        texts: list[str | None] = [
            f"{rng.choice(names)} met {rng.choice(names)} near {rng.choice(names)}." for _ in ids
        ]
        ids[7], texts[8], texts[9] = None, None, "  \n"
        path = folder / f"domain={domain}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"doc_id": ids, "text": texts}), path)
    return folder


DOCUMENTS = 2 * (120 - 3)


def rows_on_store(path: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Published annotations by (document, type), without what names the run."""
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    files = PyFileSystem(FSSpecHandler(fs))
    table = pads.dataset(stripped, format="parquet", partitioning="hive", filesystem=files).to_table()
    rows = table.drop_columns(["run_id"]).to_pylist()
    found = {(row["doc_id"], row["entity_type"]): row for row in rows}
    assert len(found) == len(rows), "a (document, type) occurs more than once"
    return found
