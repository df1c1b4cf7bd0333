"""Whole jobs in this process, in the shared Spark session and Ray cluster: crashes at chosen points, and what follows.

A crash is an exception that no code expects; the next call of the same job stands for the next start of the command.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import read_rows
from uniner_dist.config.loading import load_config
from uniner_dist.errors import StageError, ThresholdError
from uniner_dist.pipeline import stages as pipeline
from uniner_dist.pipeline.stages import annotate, retry_quarantine
from uniner_dist.run.run import load_run
from uniner_dist.storage.control_files import Report, record_values
from uniner_dist.storage.filesystem import read_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import committed_shards

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("spark", "ray")]
DOCUMENTS = 24

Job = Callable[..., Report]


class _Crash(BaseException):
    """A process that died."""


def write_corpus(folder: Path, documents: int = DOCUMENTS) -> None:
    rng = random.Random(9)
    names = ["Paula", "Lima", "Erik", "Oslo", "Nadia", "Turin"]
    texts = [f"Note {i}: {rng.choice(names)} met {rng.choice(names)}." for i in range(documents)]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"doc_id": list(range(documents)), "text": texts}), folder / "part-0.parquet")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """The main job over a small corpus; options are dotted keys."""
    write_corpus(tmp_path / "corpus")

    def start(**options: Any) -> Report:
        values = {
            "corpus.path": str(tmp_path / "corpus"),
            "output.path": str(tmp_path / "out"),
            "types": "person,location",
            "engine.kind": "scripted",
            "pool.replicas": 1,
            "pool.cpus_per_replica": 0.5,
            "pool.backoff_s": 0,
            **options,
        }
        return annotate(load_config(None, [], values), said.append)

    said: list[str] = []
    start.said = said  # type: ignore[attr-defined]
    return start


def layouts(tmp_path: Path) -> list[RunLayout]:
    return [RunLayout(f"{tmp_path}/out.work", path.name) for path in (tmp_path / "out.work/runs").iterdir()]


@contextmanager
def dying_in(step: str) -> Iterator[None]:
    """What runs in this block dies when it comes to a step of the pipeline."""

    def die(*arguments: Any, **options: Any) -> None:
        raise _Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, step, die)
        with pytest.raises(_Crash):
            yield


def test_a_start_that_finds_everything_answered_says_how_much_was_kept(job: Job, tmp_path: Path) -> None:
    with dying_in("run_annotations"):
        job()
    report = job()
    done = report.completions
    assert (done.starts, done.prompts, done.prompts_kept_from_earlier_starts) == (2, 48, 48)
    assert done.shards_kept_from_earlier_starts == report.prompts.shards
    assert [attempt.prompts for attempt in report.attempts] == [48, 0]
    page = Path(report.workdir, "report.html").read_text(encoding="utf-8")
    assert f"run {report.run_id}</title>" in page
    assert "Not shown, because" not in page
    assert job() == report
    assert "is finished" in job.said[-1]  # type: ignore[attr-defined]


def test_committed_files_that_were_cut_or_altered_are_done_again(job: Job, tmp_path: Path) -> None:
    job()
    rows = read_rows(tmp_path / "out")
    with dying_in("run_annotations"):
        job(**{"output.path": str(tmp_path / "again")})
    [layout] = [RunLayout(f"{tmp_path}/again.work", p.name) for p in (tmp_path / "again.work/runs").iterdir()]
    cut, altered, *_ = (Path(layout.completions_file(shard)) for shard in sorted(committed_shards(layout)))
    cut.write_bytes(cut.read_bytes()[:-50])
    table = pq.read_table(altered)
    forged = table.set_column(2, "output", pa.array(["[]"] * table.num_rows))
    pq.write_table(forged.replace_schema_metadata(table.schema.metadata), altered)
    complaints = []
    while len(complaints) < 3:
        try:
            job(**{"output.path": str(tmp_path / "again")})
            break
        except StageError as error:
            complaints.append(str(error))
    assert 1 <= len(complaints) <= 2, complaints
    assert all("completions/" in words for words in complaints)
    assert read_rows(tmp_path / "again") == rows


def test_another_corpus_or_configuration_is_another_run_and_never_a_mix(job: Job, tmp_path: Path) -> None:
    with dying_in("run_annotations"):
        job()
    [first] = layouts(tmp_path)
    write_corpus(tmp_path / "corpus", DOCUMENTS + 6)
    report = job(**{"model.max_tokens": 128})
    assert report.run_id != first.run_id
    assert report.completions.prompts_kept_from_earlier_starts == 0
    assert report.completions.prompts == 2 * (DOCUMENTS + 6)
    rows = read_rows(tmp_path / "out")
    assert {key[0] for key in rows} == set(range(DOCUMENTS + 6))
    assert {row["fingerprint"] for row in rows.values()} == {report.model.fingerprint}


def test_too_many_failures_publish_nothing_and_name_the_commonest_reason(job: Job, tmp_path: Path) -> None:
    faults = {"engine.extra": {"garbage": "Paula", "refuse": "Oslo@person"}}
    with pytest.raises(
        ThresholdError, match=r"commonest: \d+ unparseable.*; \d+ engine_error \('refused as the script"
    ):
        job(**faults, **{"run.max_failed_fraction": 0.05})
    assert not (tmp_path / "out").exists()
    report = job(**faults)
    assert report.annotations.outcomes["unparseable"] > report.annotations.outcomes["engine_error"] > 0


@pytest.mark.slow
def test_a_retry_that_dies_at_any_point_is_ended_by_the_next_one(job: Job, tmp_path: Path) -> None:
    job(**{"engine.extra": {"refuse": "Oslo@person", "kill": "Note 7"}})
    broken = read_rows(tmp_path / "out")
    outcomes = {row["outcome"] for row in broken.values()}
    assert {"engine_error", "killer"} <= outcomes
    job()  # finished, but from now on without faults
    [layout] = layouts(tmp_path)
    run = load_run(layout.workdir)
    said: list[str] = []
    for step in ("open_pool", "_complete", "run_annotations"):
        with dying_in(step):
            retry_quarantine(run, said.append)
        assert read_rows(tmp_path / "out") == broken, "what is published stays until it is replaced"
    report = retry_quarantine(run, said.append)
    rows = read_rows(tmp_path / "out")
    assert rows.keys() == broken.keys()
    assert {row["outcome"] for row in rows.values()} <= {"found", "none"}
    good = {key for key, row in broken.items() if row["outcome"] in ("found", "none")}
    assert {key: rows[key] for key in good} == {key: broken[key] for key in good}
    assert report.annotations.failed == 0
    again = retry_quarantine(run, said.append)
    assert again is not None
    assert record_values(again) == read_json(layout.report)
    assert "every prompt of this run has an answer" in said[-1]
