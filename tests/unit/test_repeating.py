"""Commands that were killed are started again: each looks at what is there and does the rest."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from tests.support.completions import completions
from uniner_dist.completions.retry import begin_retry, read_retry, reopen
from uniner_dist.config.loading import validate_tree
from uniner_dist.core.hashing import passage_id
from uniner_dist.errors import ConfigError, RunHeldError, StageError
from uniner_dist.maintenance import erase_shards
from uniner_dist.maintenance.erase import erase_documents
from uniner_dist.maintenance.erase_shards import erase_from_shards
from uniner_dist.maintenance.prune import prune
from uniner_dist.pipeline.check_output import check_output
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.prompts.shard_writer import encode_prompts
from uniner_dist.run.run import Run
from uniner_dist.schemas import SHARDS
from uniner_dist.storage.commit import remove_work_folders
from uniner_dist.storage.filesystem import exists, list_names, remove, write_bytes, write_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.place_layout import FLAT_MARKER, OutputLayout, WorkdirLayout
from uniner_dist.storage.shards import committed_shards, prompts_file, read_prompts, read_shards, write_completions
from uniner_dist.storage.shards import write_shards as really_write
from uniner_dist.storage.snapshot import Snapshot

TEXTS = {"00000-0000": ["only text"], "00001-0000": ["other", "more"]}


class _Killed(BaseException):
    """A process that died; no `except Exception` sees it."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose stage 1 is done: two shards, one of them of a single passage."""
    layout = RunLayout(str(tmp_path), "a" * 12)
    rows = []
    for shard, texts in TEXTS.items():
        ids = pa.array([passage_id(text) for text in texts])
        write_bytes(prompts_file(layout, shard), encode_prompts(ids, pa.array(texts), ["person"]))
        count = len(texts)
        rows.append({"shard": shard, "prompts": count, "asked": count, "passages": count, "estimated_tokens": 10})
    really_write(layout, pa.Table.from_pylist(rows, schema=SHARDS))
    tree = {
        "corpus": {"path": "/c"},
        "output": {"path": f"{tmp_path}/out"},
        "workdir": str(tmp_path),
        "types": "person",
    }
    return Run(validate_tree(tree), layout, "f" * 16, "m", "m", "/c", 1, 1, ())


def _answer(run: Run, shard: str, outputs: list[str | None]) -> None:
    write_completions(run.layout.completions_file(shard), shard, run.fingerprint, completions(outputs))


def _die(*arguments: object) -> None:
    raise _Killed


def test_an_erasure_that_died_before_the_manifest_is_finished(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = pa.array([passage_id("only text"), passage_id("more")])
    monkeypatch.setattr(erase_shards, "write_shards", _die)
    with pytest.raises(_Killed):
        erase_from_shards(run, gone)
    monkeypatch.undo()
    erase_from_shards(run, gone)
    [row] = read_shards(run.layout).to_pylist()
    assert (row["shard"], row["prompts"], row["passages"]) == ("00001-0000", 1, 1)
    assert read_prompts(run.layout, "00001-0000")["text"].to_pylist() == ["other"]
    erase_from_shards(run, gone)
    assert read_shards(run.layout).num_rows == 1


def test_an_erasure_takes_shards_that_are_in_no_manifest(run: Run) -> None:
    """A task that was tried again may have left them, and nobody else would ever look into them."""
    stray = "00009-0000"
    write_bytes(prompts_file(run.layout, stray), encode_prompts(pa.array(["x"]), pa.array(["a secret"]), ["person"]))
    _answer(run, stray, ["[]"])
    erase_from_shards(run, pa.array([passage_id("more")]))
    assert list_names(run.layout.prompts) == [f"shard={shard}" for shard in TEXTS]
    assert committed_shards(run.layout) == set()


def test_no_run_begins_while_an_erasure_is_half_done(run: Run) -> None:
    mark = WorkdirLayout(run.layout.workdir).erasure("0" * 12)
    write_json(mark, {})
    words = "an erasure was cut off"
    with pytest.raises(StageError, match=words), working_on(run):
        pass
    remove(mark)
    with working_on(run) as (held, lease, _):
        assert held.layout.token == lease.generation


def test_a_retry_that_died_while_it_took_back_commits_takes_back_the_rest(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(run, "00000-0000", [None])
    _answer(run, "00001-0000", ["[]", None])
    retry, left = begin_retry(run, 1), [1]

    def check() -> None:
        if not left:
            raise _Killed
        left.pop()

    with pytest.raises(_Killed):
        reopen(run, retry, check)
    assert committed_shards(run.layout) == {"00001-0000"}
    assert read_retry(run) == retry, "it resumes with taking back, not with asking"
    assert reopen(run, retry) == 1
    assert committed_shards(run.layout) == set()
    again = read_retry(run)
    assert again is not None
    assert again.reopened
    assert {shard for shard in TEXTS if exists(run.layout.known_file(shard))} == set(TEXTS)


def test_a_prune_that_died_is_finished_and_spares_who_works(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(run.layout.config, {"run_id": run.id})
    monkeypatch.setattr("uniner_dist.maintenance.prune.load_run", lambda workdir, run_id: run)
    monkeypatch.setattr("uniner_dist.maintenance.prune.is_half_published", lambda layout: False)
    _answer(run, "00000-0000", ["[]"])
    with hold_lease(run.layout):
        assert prune(run.layout.workdir, 0) == []
    left = [1]

    def check() -> None:
        if not left:
            raise _Killed
        left.pop()

    with pytest.raises(_Killed):
        prune(run.layout.workdir, 0, check)
    assert not exists(run.layout.shards), "the manifest goes first: the run would begin anew"
    assert prune(run.layout.workdir, 0) == [run.id]
    assert set(list_names(run.layout.root)) == {"config.json", "holders"}
    assert prune(run.layout.workdir, 0) == []


def test_a_prune_is_no_sign_that_the_run_was_worked_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(run.layout.config, {"run_id": run.id})
    monkeypatch.setattr("uniner_dist.maintenance.prune.load_run", lambda workdir, run_id: run)
    monkeypatch.setattr("uniner_dist.maintenance.prune.is_half_published", lambda layout: False)
    with pytest.raises(_Killed):
        prune(run.layout.workdir, 3600, _die)
    assert prune(run.layout.workdir, 3600) == [run.id]


@pytest.mark.parametrize("name", [FLAT_MARKER, OutputLayout("").marker(("day",)).lstrip("/"), ".uniner_dist.json"])
def test_a_publication_killed_at_its_first_marker_goes_on(run: Run, name: str) -> None:
    config = run.config.model_copy(update={"workdir": f"{run.config.output.path}.work"})
    output, snapshot = run.config.output.path, cast(Snapshot, None)  # which is looked at if there is a marker
    folder, _, name = f"{output}/{name}".rpartition("/")
    unfinished = f"{folder}/.{name}.0123.tmp"
    write_bytes(unfinished, b"{")
    check_output(config, snapshot, None)
    remove_work_folders(output, token=1)
    assert not exists(unfinished)
    write_bytes(f"{output}/thesis.txt", b"")
    with pytest.raises(ConfigError, match="already holds something else"):
        check_output(config, snapshot, None)


def test_nothing_is_erased_beside_a_living_run(run: Run) -> None:
    with hold_lease(run.layout), pytest.raises(RunHeldError, match="works on it"):
        erase_documents(run.layout.workdir, ["d1"])
