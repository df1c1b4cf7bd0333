"""A neighbour of the same kind, with a run over the same documents, stays byte-identical whatever is put into ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.audited import content
from tests.support.finished_run import finished_run
from tests.support.published import write_marker
from uniner_dist.annotations.journal import finish_begun
from uniner_dist.cli.export import ExportOptions, run_export
from uniner_dist.config.loading import load_config
from uniner_dist.errors import ConfigError, UninerError
from uniner_dist.export.registry import entry_of_export, register_export
from uniner_dist.maintenance.erase import erase_documents
from uniner_dist.maintenance.erase_exports import erase_from_exports
from uniner_dist.maintenance.prune import prune
from uniner_dist.pipeline.check_locations import check_corpus_files
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.run import Run
from uniner_dist.storage.answer_store import sweep
from uniner_dist.storage.commit import always
from uniner_dist.storage.control_files import FolderChange, Journal, write_control
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import read_marker_version
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout
from uniner_dist.storage.snapshot import take_snapshot

#: Folders that we write to or remove from; RUN and FINGERPRINT are the run's own.
FOLDERS = (
    *("out.lease", "out.lease/holders", "out.gate", "out.card", "out.exports"),
    *(f"out.work/{name}" for name in ("holders", "runs", "erased", "forgetting", "forgetting-files", "stores")),
    *(f"out.work/runs/RUN/{name}" for name in ("holders", "prompts", "occurrences", "publishing", "gate")),
    *(f"out.work/store/FINGERPRINT{name}" for name in ("", "/cells", "/manifests", "/holders")),
    "out.work/store/_erased",
    "out/.uniner_dist",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    root = tmp_path_factory.mktemp("houses")
    run = finished_run(root / "house")
    finished_run(root / "neighbour")
    shutil.copytree(root / "house", root / "template")
    return root, run


@pytest.fixture
def house(built: tuple[Path, Run]) -> Iterator[tuple[Path, Run]]:
    """Our house as it was, beside a neighbour that is compared in the end."""
    root, run = built
    before = content(root / "neighbour")
    shutil.rmtree(root / "house")
    shutil.copytree(root / "template", root / "house", symlinks=True)
    yield root, run
    assert content(root / "neighbour") == before


def _erase(run: Run) -> object:
    with hold_lease(WorkdirLayout(run.layout.workdir)):
        return erase_documents(run.layout.workdir, ["id-Alba"])


def _prune(run: Run) -> object:
    with hold_lease(WorkdirLayout(run.layout.workdir)):
        return prune(run.layout.workdir, 0.0)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_a_link_to_the_neighbours_is_left_alone(house: tuple[Path, Run], folder: str) -> None:
    root, run = house
    place = root / "house" / folder.replace("RUN", run.id).replace("FINGERPRINT", run.fingerprint)
    [theirs] = (root / "neighbour/out.work/runs").iterdir()
    target = root / "neighbour" / folder.replace("RUN", theirs.name).replace("FINGERPRINT", run.fingerprint)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target if target.exists() else root / "neighbour/out")
    with pytest.raises(UninerError, match=f"{place}: is a link"):
        _erase(run)
    if folder.startswith("out.work/runs"):
        with pytest.raises(UninerError, match=f"{place}: is a link"):
            _prune(run)
    elif folder.endswith(("cells", "manifests")):
        assert not sweep(StoreLayout(run.config.store_path, run.fingerprint), grace_s=1e9)


@pytest.mark.parametrize("what", ["a new file", "the folder"])
def test_a_journal_does_not_move_what_is_behind_a_link(house: tuple[Path, Run], what: str) -> None:
    root, run = house
    output, name = run.config.output.path, f"part-{run.id}-00000.parquet"
    source = Path(run.layout.publication).parent / "publishing/staging" / f"part-{run.id}.9-00000.parquet"
    source.parent.mkdir(parents=True, exist_ok=True)
    theirs = next((root / "neighbour/out/entity_type=person").iterdir())
    if what == "a new file":
        source.symlink_to(theirs)
    else:
        source.write_bytes(b"new")
        shutil.rmtree(f"{output}/entity_type=person")
        Path(output, "entity_type=person").symlink_to(theirs.parent)
    before = read_marker_version(output)
    assert before is not None
    change = FolderChange(folder="entity_type=person", add={source.name: str(source)}, remove=(name,))
    entry = before.marker.runs[run.id]
    write_control(run.layout.publication, Journal(run_id=run.id, changes=(change,), placeholder=None, entry=entry))
    marker = before.marker.model_copy(update={"publishing": run.layout.publication})
    write_marker(output, marker)
    begun = read_marker_version(output)
    assert begun is not None
    with pytest.raises(ConfigError, match="lies outside of"):
        finish_begun(output, begun, run.layout.workdir, "000009", always)


def test_an_erasure_leaves_the_export_of_another_output_alone(house: tuple[Path, Run]) -> None:
    root, run = house
    output, theirs = run.config.output.path, f"{root}/neighbour/export"
    register_export(output, theirs)
    found = erase_from_exports(output, ["id-Alba"], always)
    assert found.removed == [f"{root}/house/export"]
    [left] = found.left
    assert left.startswith(f"export {theirs} does not say that it is of {output}")
    assert entry_of_export(output, theirs).startswith(left.rpartition(" ")[2])


@pytest.mark.parametrize("damage", ["cut", "gone", "longer"])
def test_an_erasure_says_where_it_cannot_tell(house: tuple[Path, Run], damage: str) -> None:
    root, run = house
    [listed] = (root / "house/export/_export").glob("*.documents")
    if damage == "gone":
        listed.unlink()
    else:
        listed.write_text(listed.read_text()[:-9] if damage == "cut" else "x\n" + listed.read_text())
    found = erase_from_exports(run.config.output.path, ["id-Nobody"], always)
    assert found.removed == []
    [left] = found.left
    assert str(listed) in left


def test_an_export_lies_neither_in_the_output_nor_in_the_corpus(house: tuple[Path, Run], tmp_path: Path) -> None:
    _, run = house
    output = run.config.output.path
    (tmp_path / "alias").symlink_to(output)
    for folder in (f"{output}/export", f"{tmp_path}/alias/export", f"{run.config.corpus.path}/export"):
        with pytest.raises(ConfigError, match="choose a folder next to it"):
            run_export(ExportOptions(output, folder, "jsonl"), (), [], print)


def test_a_corpus_takes_in_nothing_of_the_output_by_a_link_or_a_pattern(tmp_path: Path) -> None:
    written = pa.table({"doc_id": ["1"], "text": ["Ada"]})
    for folder in ("corpus", "out"):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(written, tmp_path / folder / "part-0.parquet")
    places = {"output.path": f"{tmp_path}/out", "types": "person"}
    with pytest.raises(ConfigError, match=r"takes in .*/out, which lies inside --output"):
        open_run(load_config(None, (), {**places, "corpus.path": f"{tmp_path}/**/*.parquet"}))
    (tmp_path / "corpus/link").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match="which lies inside --output"):
        open_run(load_config(None, (), {**places, "corpus.path": f"{tmp_path}/corpus"}))


def test_a_corpus_takes_in_nothing_of_an_output_with_an_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("adlfs")
    monkeypatch.setattr(fsspec.config, "conf", {"abfs": {"anon": True}})
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["Ada"]}), tmp_path / "a.parquet")
    found, lake = take_snapshot(str(tmp_path)), "abfs://texts@account.dfs.core.windows.net"
    listing = replace(found.listing, path=f"{lake}/**/*.parquet", files=("texts/out/a.parquet",), plain=False)
    places = {"corpus.path": listing.path, "output.path": f"{lake.replace('abfs', 'abfss')}/out", "types": "person"}
    with pytest.raises(ConfigError, match=rf"takes in {lake}/out, which lies inside --output"):
        check_corpus_files(load_config(None, (), places), replace(found, listing=listing))
