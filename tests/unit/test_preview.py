"""`--dry-run` of housekeeping says what the command then does, and changes no byte."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.finished_run import finished_run
from uniner_dist.cli.app import main
from uniner_dist.maintenance.preview import preview_documents, preview_prune
from uniner_dist.maintenance.prune import prune
from uniner_dist.run.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path / "world")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _run(arguments: list[str], run: Run) -> None:
    assert main([*arguments, "--workdir", run.layout.workdir, "--dry-run"]) == 0


def test_forget_says_where_a_document_is_and_leaves_it_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _bytes(tmp_path)
    _run(["forget", "--id", "id-Alba", "--id", "nobody"], run)
    assert _bytes(tmp_path) == before
    said = capsys.readouterr().err
    assert f"would be erased: id-Alba, in 1 runs: {run.id}" in said
    assert "in no run: nobody" in said
    assert f"outputs to look through: {run.config.output.path}" in said
    assert f"stores to look through: {run.config.store_path}" in said


def test_documents_without_a_usable_text_are_in_no_occurrence(run: Run) -> None:
    found = preview_documents(run.layout.workdir, ["id-Bruno", "id-Alba"])
    assert found.documents == {"id-Alba": (run.id,), "id-Bruno": (run.id,)}
    assert found.unknown == found.others == found.unreachable == ()


def test_prune_says_the_runs_that_it_then_prunes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _bytes(tmp_path)
    _run(["prune", "--older-than-days", "0"], run)
    assert _bytes(tmp_path) == before
    assert f"1 runs would be pruned: {run.id}" in capsys.readouterr().err
    assert preview_prune(run.layout.workdir, 0) == prune(run.layout.workdir, 0) == [run.id]
    assert preview_prune(run.layout.workdir, 0) == []


def test_texts_of_split_documents_alone_are_something_to_prune(run: Run) -> None:
    prune(run.layout.workdir, 0)
    [file] = Path(run.layout.occurrences).rglob("*.parquet")
    table = pq.read_table(file)
    place = table.schema.get_field_index("text")
    pq.write_table(table.set_column(place, "text", pa.array(["Alba"] * len(table))), file)
    assert preview_prune(run.layout.workdir, 0) == prune(run.layout.workdir, 0) == [run.id]
    assert preview_prune(run.layout.workdir, 0) == []


def test_compact_says_how_many_files_it_would_merge(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _bytes(tmp_path)
    _run(["compact"], run)
    assert _bytes(tmp_path) == before
    assert "files with" in capsys.readouterr().err


def test_what_comes_back_has_no_dry_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", "--workdir", run.layout.workdir, "--id", "x", "--restore", "--dry-run"]) == 2
    assert "error: --restore changes nothing" in capsys.readouterr().err
