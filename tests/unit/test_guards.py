"""docs/guards.md is true, and guards that have no test of their subject elsewhere."""

from __future__ import annotations

import ast
import functools
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import uniner_dist
from tests.support.audited import content
from tests.support.evaluation_data import annotation, entity, write_annotations, write_spans
from tests.support.finished_run import finished_run
from uniner_dist.cli.app import main
from uniner_dist.cli.status import print_status
from uniner_dist.comparison.figures import ComparedDocuments, ComparedSide, Comparison
from uniner_dist.comparison.show import print_comparison
from uniner_dist.comparison.tally import Tally
from uniner_dist.config.caller import OWNED, Caller
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import GateConfig
from uniner_dist.config.schemes import SCHEMES, check_scheme
from uniner_dist.core.characters import visible
from uniner_dist.core.differences import Cell
from uniner_dist.errors import ConfigError, QualityGateError
from uniner_dist.evaluation.measure import evaluate
from uniner_dist.evaluation.show import print_scores
from uniner_dist.gate.verdict import judge
from uniner_dist.maintenance.prune import prune
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.run import Run, load_run
from uniner_dist.storage import credentials
from uniner_dist.storage.commit import apply_change
from uniner_dist.storage.containment import OutsideError, is_inside, is_same_location, lies_in
from uniner_dist.storage.control_files import (
    ControlFileError,
    FolderChange,
    GoldFigures,
    Marker,
    parse_control,
    read_journal,
)
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.shards import read_shards

ROOT = Path(__file__).parents[2]
PACKAGE = Path(uniner_dist.__file__).parent
RUN, OTHER = "a" * 12, "b" * 12
HOSTILE = "x\x1b[2J\x9b\x07\u202e[red]y"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished_run(tmp_path_factory.mktemp("finished"))


def rows() -> list[tuple[str, str, str]]:
    """(kind, guards, tests) of every row of the page."""
    found, kind = [], ""
    for line in (ROOT / "docs/guards.md").read_text().splitlines():
        if line.startswith("## "):
            kind = line[3:].partition(".")[0]
        elif line.startswith("| ") and not line.startswith("| what"):
            _, guard, test = line.strip("| ").split(" | ")
            found.append((kind, guard.strip("` "), test.strip("` ")))
    return found


@functools.cache
def _defined(path: Path) -> set[str]:
    """Functions and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def _is_there(guard: str) -> bool:
    if "/" in guard or guard == "Makefile":
        return (ROOT / guard).exists()
    module, _, name = guard.rpartition(".")
    if (PACKAGE / f"{guard.replace('.', '/')}.py").exists():
        return True
    return name in _defined(PACKAGE / f"{module.replace('.', '/')}.py")


def test_every_guard_of_the_page_and_every_test_of_one_exists() -> None:
    assert {kind for kind, _, _ in rows()} == {str(number) for number in range(1, 11)}
    assert len(rows()) >= 45
    for _, guard, test in rows():
        assert _is_there(guard), guard
        file, _, name = test.partition("::")
        assert name in _defined(ROOT / "tests" / file), test


# -- 1, 5: names in files ----------------------------------------------------------------------------------------------


def _marker(**more: Any) -> Marker:
    return Marker(id_column="doc_id", partition_by=("day", "entity_type"), **more)


def _journal(workdir: Path, **more: Any) -> str:
    source = f"{workdir}/runs/{RUN}/publishing/staging/part-{RUN}-0.parquet"
    change = {"folder": "day=1/entity_type=person", "add": {"part-1.parquet": source}, "remove": ["part-0.parquet"]}
    path = workdir / f"runs/{RUN}/publication.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = {"run_id": more.pop("run_id", RUN), "changes": [change | more]}
    path.write_text(json.dumps(journal).replace("FOLDER", str(workdir)))
    return str(path)


JOURNALS: dict[str, dict[str, Any]] = {
    "another run": {"run_id": OTHER},
    "no run id": {"run_id": "../" + "a" * 9},
    "a column that there is not": {"folder": "day=1/label=person"},
    "columns in another order": {"folder": "entity_type=person/day=1"},
    "one column of two": {"folder": "day=1"},
    "an empty value": {"folder": "day=/entity_type=person"},
    "a folder that climbs": {"folder": "day=1/entity_type=../../neighbour"},
    "a whole path": {"folder": "/neighbour"},
    "no file of ours comes": {"add": {"x.parquet": f"FOLDER/runs/{RUN}/publishing/x.parquet"}},
    "a file that climbs comes": {"add": {"../part-1.parquet": f"FOLDER/runs/{RUN}/publishing/x.parquet"}},
    "a hidden file goes": {"remove": [".uniner_dist.json"]},
    "a file that climbs goes": {"remove": ["../part-0.parquet"]},
    "no Parquet goes": {"remove": ["thesis.docx"]},
    "from another folder": {"add": {"part-1.parquet": "FOLDER/part-1.parquet"}},
    "from another run": {"add": {"part-1.parquet": f"FOLDER/runs/{OTHER}/part-1.parquet"}},
    "from the folder itself": {"add": {"part-1.parquet": f"FOLDER/runs/{RUN}"}},
    "from above": {"add": {"part-1.parquet": f"FOLDER/runs/{RUN}/../{OTHER}/part-1.parquet"}},
    "from a place of the reader's": {"add": {"part-1.parquet": f"runs/{RUN}/part-1.parquet"}},
    "from other storage": {"add": {"part-1.parquet": f"memory://FOLDER/runs/{RUN}/part-1.parquet"}},
    "from the network": {"add": {"part-1.parquet": f"https://a.example/FOLDER/runs/{RUN}/part-1.parquet"}},
    "from a chain": {"add": {"part-1.parquet": f"zip::file://FOLDER/runs/{RUN}/part-1.parquet"}},
}


@pytest.mark.parametrize("wrong", [None, *JOURNALS])
def test_names_in_a_marker_or_journal_have_our_form(tmp_path: Path, wrong: str | None) -> None:
    path = _journal(tmp_path, **({} if wrong is None else JOURNALS[wrong]))
    if wrong is None:
        journal = read_journal(path, f"{tmp_path}/out", _marker(), str(tmp_path))
        assert journal.changes[0].folder == "day=1/entity_type=person"
        return
    with pytest.raises(ConfigError, match=re.escape(path)):
        read_journal(path, f"{tmp_path}/out", _marker(), str(tmp_path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"publishing": f"/w/runs/{RUN}/other.json"},
        {"publishing": f"w/runs/{RUN}/publication.json"},
        {"publishing": f"/w/../runs/{RUN}/publication.json"},
        {"publishing": f"https://a.example/runs/{RUN}/publication.json"},
        {"publishing": f"simplecache::file:///w/runs/{RUN}/publication.json"},
        {"placeholder": "../part-0.parquet"},
        {"placeholder": "thesis.docx"},
        {"runs": {"../../neighbour": {"corpus": "/c", "types": ["x"]}}},
        {"runs": {RUN: {"corpus": "zip::file:///c", "types": ["x"]}}},
        {"table": "hudi"},
        {"dataset": "another"},
    ],
)
def test_a_marker_that_names_something_else_is_refused(wrong: dict[str, Any]) -> None:
    good = _marker(runs={RUN: {"corpus": "/c", "types": ("x",)}}).model_dump(mode="json", exclude_none=True)
    assert parse_control("marker", json.dumps(good).encode(), Marker).id_column == "doc_id"
    with pytest.raises(ControlFileError, match="marker"):
        parse_control("marker", json.dumps(good | wrong).encode(), Marker)


def test_a_path_from_a_file_has_that_files_kind_of_storage(tmp_path: Path) -> None:
    path = f"memory://w/runs/{RUN}/publication.json"
    fs, stripped = open_fs(path)
    fs.pipe_file(stripped, Path(_journal(tmp_path)).read_bytes())
    with pytest.raises(ConfigError, match="names a journal on another kind of storage"):
        read_journal(path, f"{tmp_path}/out", _marker(), str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(path)):  # its sources are files of this machine
        read_journal(path, "memory://out", _marker(), "memory://w")


@pytest.mark.parametrize("option", ["corpus.path", "output.path", "workdir", "store"])
def test_a_path_that_no_control_file_may_have_is_refused_in_words(tmp_path: Path, finished: Run, option: str) -> None:
    run = finished
    tree = {"corpus.path": run.config.corpus.path, "output.path": f"{tmp_path}/other", "types": "person"}
    with pytest.raises(ConfigError, match=f"--{option.partition('.')[0]} .*: has control characters"):
        open_run(load_config(None, (), tree | {option: f"{tmp_path}/x\x1by"}))


def test_the_list_of_storages_is_the_documented_one_and_can_be_extended(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name for group in SCHEMES for name in group}
    assert names == {"file", "local", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "hdfs", "memory"}
    trust = (ROOT / "docs/trust.md").read_text()
    assert all(f"`{name}`" in trust for name in names - {"local"})
    with pytest.raises(ConfigError, match="storage of the kind 'ftp' is not taken"):
        open_fs("ftp://a.example/x")
    monkeypatch.setenv("UNINER_DIST_SCHEMES", "sftp, ftp")
    check_scheme("ftp://a.example/x")
    with pytest.raises(ConfigError, match="chains"):
        open_fs("ftp::file://x")


# -- 2, 3, 4: pinned configurations, runs, shards ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("ray", "address", "ray://elsewhere.example:10001"), ("spark", "master", "spark://elsewhere.example:7077")],
)
def test_what_a_workdir_says_is_taken_by_explicit_word_alone(
    tmp_path: Path, section: str, key: str, value: Any
) -> None:
    run = finished_run(tmp_path)
    pinned = json.loads(Path(run.layout.config).read_text())
    pinned["config"][section][key] = value
    Path(run.layout.config).write_text(json.dumps(pinned))
    with pytest.raises(ConfigError, match=rf"{section}.{key}.* is not what this command says.*--trust-workdir"):
        load_run(run.layout.workdir, run.id, Caller.of(), OWNED)
    looking = load_run(run.layout.workdir, run.id)  # a command that starts nothing
    assert getattr(getattr(looking.config, section), key) != value
    taken = load_run(run.layout.workdir, run.id, Caller.of(trusts_workdir=True), OWNED)
    assert getattr(getattr(taken.config, section), key) == value


@pytest.mark.parametrize("what", ["fingerprint", "workdir"])
def test_a_run_that_is_not_what_its_folder_says_is_refused(tmp_path: Path, finished: Run, what: str) -> None:
    workdir = tmp_path / "copy"
    shutil.copytree(finished.layout.workdir, workdir)
    path = workdir / "runs" / finished.id / "config.json"
    if what == "fingerprint":
        text = path.read_text().replace(finished.layout.workdir, str(workdir))
        path.write_text(json.dumps(json.loads(text) | {"fingerprint": "0" * 16}))
    with pytest.raises(ControlFileError, match=rf"{path}: is not this run's .*its {what} is"):
        load_run(str(workdir), finished.id)


@pytest.mark.parametrize(
    ("one", "other"),
    [("s3://b", "s3a://b"), ("gs://b", "gcs://b"), ("abfs://c@a", "abfss://c@a"), ("az://c", "abfs://c")],
)
def test_one_place_by_two_schemes_of_its_storage_is_one_place(
    monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    options = {"gs": {"token": "anon"}, "abfs": {"anon": True, "account_name": "a"}}
    monkeypatch.setattr(fsspec.config, "conf", options)
    for first, second in ((one, other), (other, one)):
        assert is_same_location(f"{first}/x", f"{second}/x/")
        assert lies_in(f"{first}/x/out", f"{second}/x")
        assert not lies_in(f"{first}/xy", f"{second}/x")
    assert not is_same_location(f"{one}/x", "memory://b/x")


@pytest.mark.parametrize("path", ["w/../x", "w/./x", "w//x", "w", "wx/y", "w/.."])
def test_objects_lie_in_a_folder_by_their_whole_names(path: str) -> None:
    assert is_inside("memory://w/x/y", "memory://w")
    assert not is_inside(f"memory://{path}", "memory://w")


def test_a_change_is_not_built_in_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "work_folder").symlink_to(tmp_path / "neighbour")
    with pytest.raises(OutsideError, match="work_folder: is a link"):
        apply_change(f"{tmp_path}/out", FolderChange(folder=""), f"{tmp_path}/work_folder")


def test_pruning_leaves_alone_what_is_no_run_by_name_and_content(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    runs, root = Path(run.layout.root).parent, Path(run.layout.root)
    foreign = {
        "by name": runs / "thesis/prompts/part-0.parquet",
        "by content": runs / OTHER / "prompts/part-0.parquet",
        "in a run": root / "notes/thesis.docx",
        "beside its payload": root / "prompts.txt",
    }
    for path in foreign.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"years of work")
    before = {name: content(path.parent) for name, path in foreign.items() if name.startswith("by")}
    assert prune(run.layout.workdir, 0.0) == [run.id]
    assert {name: content(foreign[name].parent) for name in before} == before
    assert all(path.read_bytes() == b"years of work" for path in foreign.values())
    assert not (root / "prompts").exists(), "what is a run's goes"
    shutil.copy(run.layout.config, runs / OTHER / "config.json")
    with pytest.raises(ConfigError, match=str(runs / OTHER / "config.json")):
        prune(run.layout.workdir, 0.0)
    assert foreign["by content"].exists(), "another run's configuration makes it no run"


@pytest.mark.parametrize("shard", ["../../neighbour", "00000-0000/..", "00000-0000\n", "/etc", "", "00000_0000"])
def test_a_shard_in_a_manifest_never_becomes_another_path(finished: Run, shard: str) -> None:
    run, good = finished, Path(finished.layout.shards).read_bytes()
    table = read_shards(run.layout)
    place = table.schema.get_field_index("shard")
    names = pa.array([shard, *table["shard"].to_pylist()[1:]], table.schema.field("shard").type)
    pq.write_table(table.set_column(place, table.schema.field(place), names), run.layout.shards)
    with pytest.raises(ConfigError, match=re.escape(run.layout.shards)):
        read_shards(run.layout)
    Path(run.layout.shards).write_bytes(good)


# -- 6: terminals ------------------------------------------------------------------------------------------------------


def _scores(folder: Path, console: Console) -> None:
    gold = write_spans(folder / "gold", [(HOSTILE, HOSTILE, [("Rome", 0)]), ("2", HOSTILE, [])])
    found = [
        annotation(HOSTILE, HOSTILE, [entity(HOSTILE, 0, 0.5)], score=0.5, **{HOSTILE: HOSTILE}),
        annotation("2", HOSTILE, [entity(HOSTILE, 0, 0.1)], score=0.5, **{HOSTILE: HOSTILE}),
    ]
    print_scores(evaluate(write_annotations(folder / "annotations", found), gold, by=HOSTILE), console)


def _comparison(folder: Path, console: Console) -> None:
    tally = Tally()
    before, after = Cell("found", ((HOSTILE, 0, 3),)), Cell(HOSTILE, ((HOSTILE, 4, 5),))
    tally.add(HOSTILE, HOSTILE, before, after, HOSTILE)
    side = ComparedSide(path=f"{folder}/{HOSTILE}", run=HOSTILE)
    documents = ComparedDocuments(both=1)
    summary = dict(tally.summary())
    print_comparison(Comparison(before=side, after=side, by_column=HOSTILE, documents=documents, **summary), console)


def _status(folder: Path, console: Console) -> None:
    run = finished_run(folder / "x\x9b\u202ey", types="person")
    Path(run.layout.report).unlink(missing_ok=True)
    print_status(run.layout.workdir, None, console=console)


@pytest.mark.parametrize("view", [_scores, _comparison, _status])
def test_no_view_lets_names_of_a_corpus_steer_the_terminal(
    tmp_path: Path, view: Callable[[Path, Console], None]
) -> None:
    stream = io.StringIO()
    view(tmp_path, Console(file=stream, width=2000))  # rich's own, without the second lock
    printed = stream.getvalue()
    assert ("y/corpus" if view is _status else "[red]y") in printed, "nothing is markup"
    assert visible(printed, keep="\n") == printed


def test_the_gate_s_words_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    gold = GoldFigures(documents=1, f1=0.1, interval=(0.0, 0.2), by_type={HOSTILE: 0.1})
    words = str(QualityGateError(judge(GateConfig(gold="g", min_f1=0.5), gold), "nothing was published", {}))
    assert "[red]y" in words
    assert visible(words, keep="\n") == words
    assert main(["status", "--workdir", f"/nowhere/{HOSTILE}"]) == 2
    said = capsys.readouterr().err
    assert "[red]y" in said
    assert visible(said, keep="\n") == said


# -- 8, 10: docs, temporary names --------------------------------------------------------------------------------------


def test_the_docs_name_what_travels_and_how_to_encrypt_it() -> None:
    operations, clusters = ((ROOT / f"docs/{name}.md").read_text() for name in ("operations", "clusters"))
    names = [name for group in (*credentials._NAMES.values(), *credentials._KEY_FILES.values()) for name in group]
    assert not [name for name in names if f"`{name}`" not in operations]
    for words in (
        "RAY_USE_TLS=1",
        "RAY_TLS_SERVER_CERT",
        "RAY_TLS_SERVER_KEY",
        "RAY_TLS_CA_CERT",
        "RAY_AUTH_MODE=token",
    ):
        assert words in clusters
    for words in ("spark.authenticate=true", "spark.network.crypto.enabled", "spark.io.encryption.enabled", "pickled"):
        assert words in clusters


def test_no_temporary_name_can_be_foreseen() -> None:
    """Temporary folders come from `tempfile`, which draws their names; nobody names one below /tmp."""
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"""gettempdir|mktemp\(|["'](/var)?/tmp\b|/dev/shm""", path.read_text()), path
