"""Control files as anybody might leave them: nothing outside of the named places is touched, refusals name the file.

Each example is a small house with an output, a workdir with a run, a store and an export, one control file of it
replaced by any JSON or by a mutation of a good one, and a neighbour with files of the same forms. What the product then
does with the file, destructive steps included, is watched by an audit hook.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.audited import audited, content
from uniner_dist.annotations.journal import finish_begun
from uniner_dist.completions.retry import read_retry
from uniner_dist.config.loading import load_config
from uniner_dist.core.characters import visible
from uniner_dist.errors import UninerError
from uniner_dist.export.ownership import changed_files, check_folder, clear_folder, has_documents, write_files
from uniner_dist.gate.sample import read_sample
from uniner_dist.maintenance.erase import Erasure
from uniner_dist.maintenance.erase_exports import erase_from_exports
from uniner_dist.maintenance.erase_gate import erase_from_gates
from uniner_dist.maintenance.prune import prune
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.corpus_snapshot import run_snapshot
from uniner_dist.run.registry import stores_of, workdirs_of
from uniner_dist.run.run import Run, load_run
from uniner_dist.run.starts import read_starts
from uniner_dist.run.triage import read_bound, read_learnt, read_verdict
from uniner_dist.storage.answer_store import live_files, sweep
from uniner_dist.storage.attempts import COUNTED, count_files, counted_files
from uniner_dist.storage.commit import always
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    Plan,
    PoolProgress,
    ProbedStorages,
    PromptsSummary,
    Report,
    SparkProgress,
    Verdict,
    read_control,
)
from uniner_dist.storage.erased import read_erased
from uniner_dist.storage.layout import GateLayout
from uniner_dist.storage.lease import current_holder, last_worked
from uniner_dist.storage.marker import read_marker_version
from uniner_dist.storage.place_layout import OutputLayout, StoreLayout, WorkdirLayout
from uniner_dist.storage.shards import read_prompts, read_shards, reopen_unanswered, verified_shards

RUN = "a" * 12
FILE = f"part-{RUN}-00000.parquet"
SHARD = "00000-0000"
PROMPT = {"passage_id": "1" * 32, "text": "Ada", "entity_type": "person"}
EXPORTED = b"{}\n"
COLUMNS = pa.schema([("doc_id", pa.string())])
CELLS = f"{RUN}-00000-0000-{'b' * 12}.parquet"


@dataclass(frozen=True)
class House:
    """Where everything of an example is."""

    root: Path
    run: Run

    @property
    def output(self) -> Path:
        return self.root / "out"

    @property
    def workdir(self) -> Path:
        return self.root / "out.work"

    @property
    def store(self) -> StoreLayout:
        return StoreLayout(str(self.workdir / "store"), self.run.fingerprint)

    @property
    def journal(self) -> Path:
        return self.workdir / "runs" / RUN / "publication.json"

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def neighbour(self) -> Path:
        return self.root / "neighbour"


@pytest.fixture(scope="module", autouse=True)
def _nobody_is_watched() -> Iterator[None]:
    """A holder elsewhere is taken for dead at the first look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uniner_dist.storage.lease.STALE_S", 0.0)
        yield


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A run that was opened once; examples are copies in its place, as a run's id depends on its paths."""
    # In memory where that is possible: every file that the product writes is flushed to its disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="houses-", dir=memory) as folder:
        yield _open(Path(folder) / "house")


def _open(root: Path) -> Path:
    (root / "corpus").mkdir(parents=True)
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["Ada"]}), root / "corpus/part-0.parquet")
    open_run(_config(root))
    shutil.copytree(root, root.with_name("template"))
    return root


def _config(root: Path) -> Any:
    return load_config(None, (), {"corpus.path": f"{root}/corpus", "output.path": f"{root}/out", "types": "person"})


@pytest.fixture(scope="module")
def build(template: Path) -> Callable[[], House]:
    house = House(template, load_run(f"{template}/out.work"))
    furnished = template.with_name("furnished")
    _furnish(house)
    shutil.copytree(template, furnished)

    def built() -> House:
        shutil.rmtree(template, ignore_errors=True)
        shutil.copytree(furnished, template)
        return house

    return built


def _furnish(house: House) -> None:
    layout = house.run.layout
    for path, data in {
        house.output / "entity_type=person" / "part-old-00000.parquet": b"old",
        house.journal.parent / "publishing/staging" / FILE: _written(COLUMNS.empty_table()),
        house.neighbour / "entity_type=person" / "part-old-00000.parquet": b"theirs",
        house.neighbour / "runs" / RUN / "config.json": b"{}",
        house.neighbour / "runs" / RUN / "publication.json": b"{}",
        house.neighbour / "export.json": b"{}",
        house.neighbour / CELLS: b"cells",
        Path(house.store.cells) / CELLS: b"cells",
        Path(layout.prompts) / f"shard={SHARD}" / "part-0.parquet": _as_parquet([PROMPT]),
        Path(layout.splits) / "part-0.parquet": b"split",
        house.neighbour / f"shard={SHARD}" / "part-0.parquet": _as_parquet([PROMPT]),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    write_files(str(house.export), "part-00000-00000", [("part-00000-00000.jsonl", EXPORTED)])
    for kind in KINDS.values():
        for path, value in kind.good(house).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kind.encode(value))


# -- kinds of control files: what a good one says, and what is done with it --------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One kind of control file; `encode` makes the bytes of any value of it.

    Attributes:
        may_look: what may be read of the neighbour, as the file may name any folder for that.
    """

    path: Callable[[House], Path]
    value: Callable[[House], Any]
    use: Callable[[House], object]
    encode: Callable[[Any], bytes] = lambda value: json.dumps(value).encode()
    may_look: tuple[str, ...] = ()

    def good(self, house: House) -> dict[Path, Any]:
        """File → value."""
        return {self.path(house): self.value(house)}


def _marker(house: House) -> dict[str, Any]:
    return {
        "dataset": "uniner-dist annotations",
        "schema_version": 1,
        "id_column": "doc_id",
        "partition_by": ["entity_type"],
        "runs": {"c" * 12: {"corpus": f"{house.root}/corpus", "types": ["person"], "order": 1}},
        "publishing": str(house.journal),
    }


def _journal(house: House) -> dict[str, Any]:
    source = f"{house.journal.parent}/publishing/staging/{FILE}"
    change = {"folder": "entity_type=person", "add": {FILE: source}, "remove": ["part-old-00000.parquet"]}
    entry = {"corpus": f"{house.root}/corpus", "types": ["person"]}
    return {"run_id": RUN, "changes": [change], "placeholder": None, "entry": entry}


def _finish(house: House) -> object:
    before = read_marker_version(str(house.output))
    return before and finish_begun(str(house.output), before, house.run.layout.workdir, "000001", always)


def _in_metadata(value: Any) -> bytes:
    """A Parquet file without rows that holds a value as `storage.marker_file` does."""
    return _written(COLUMNS.with_metadata({"uniner_dist": json.dumps(value)}).empty_table())


def _finish_earlier(house: House) -> object:
    shutil.rmtree(OutputLayout(str(house.output)).markers)
    return _finish(house)


def _pinned(house: House) -> Any:
    return json.loads((house.root.with_name("template") / f"out.work/runs/{house.run.id}/config.json").read_bytes())


def _export(house: House) -> object:
    check_folder(str(house.export), replace=True)
    clear_folder(str(house.export))
    return None


def _store(house: House) -> object:
    return live_files(house.store), sweep(house.store, grace_s=0.0)


def _look(house: House) -> object:
    run = load_run(str(house.workdir), house.run.id)
    return current_holder(run.layout), last_worked(run.layout), prune(str(house.workdir), 0.0)


def _run_file(name: str) -> Callable[[House], Path]:
    return lambda house: Path(house.run.layout.root) / name


def _record(name: str, model: Any, value: Any) -> Kind:
    path = _run_file(name)
    return Kind(path, lambda house: value, lambda house: read_control(str(path(house)), model))


def _as_parquet(value: Any) -> bytes:
    """Rows as a Parquet file; what is no table, or one of mixed types, as a table of strings."""
    rows = value if isinstance(value, list) else [value]
    try:
        return _written(pa.Table.from_pylist([row if isinstance(row, dict) else {"shard": row} for row in rows]))
    except (pa.ArrowException, OverflowError, ValueError):
        nothing = pa.nulls(len(rows), pa.int64())
        return _written(pa.table({"shard": [json.dumps(row) for row in rows], "prompts": nothing}))


def _written(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


def _shards(house: House) -> object:
    """What the completions stage does with the manifest: shards are read, verified, taken back and removed."""
    layout = house.run.layout
    table = read_shards(layout)
    counts = dict(zip(table["shard"].to_pylist(), table["prompts"].to_pylist(), strict=True))
    verified_shards(layout, counts, house.run.fingerprint)
    reopen_unanswered(layout, counts)
    return [read_prompts(layout, shard).num_rows for shard in counts]


def _as_lines(value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode("utf-8", "replace")


def _gate(house: House) -> GateLayout:
    return GateLayout(f"{house.run.layout.gates}/{'f' * 12}")


def _counted(house: House) -> object:
    folder = house.run.layout.splits
    count_files(folder, counted_files(folder))
    return None


_ANNOTATIONS = {"rows": 1, "failed": 0, "documents": 1, "outcomes": {"found": 1}, "by_type": {"person": {"found": 1}}}
_PROMPTS = {
    **dict.fromkeys(("rows", "documents", "passages", "unique_passages"), 1),
    **dict.fromkeys(("prompts", "prompts_known", "prompts_to_ask", "shards"), 1),
    "rejects": {"null_text": 1},
}
_TOKENS = {"expected": 1, "low": 1, "high": 2}
_FIGURES = {"documents": 1, "f1": 0.5, "interval": [0.1, 0.9], "by_type": {"person": 0.5}}
_NO_RUN = {"plan.json": "plan", "report.json": "report"}

_BOUND = {
    "salt": "5" * 16,
    "classifier": "6" * 32,
    "thresholds": [0.01],
    "rare": [False],
    **dict.fromkeys(("learning_passages", "calibration_cells", "filled", "missed", "sampled"), 3),
    **dict.fromkeys(("sampled_filled", "cells"), 3),
    "check": 0.05,
}
_LEARNT = {
    "salt": "5" * 16,
    "classifier": "6" * 32,
    "caps": [0.01],
    "floors": [0.005],
    "rare": [False],
    "why": None,
    **dict.fromkeys(("learning_passages", "sampled", "sampled_filled", "cells"), 3),
    **dict.fromkeys(("learning", "calibration", "skipped", "saved"), 0.1),
}
_VERDICT = {
    "salt": "5" * 16,
    "kept": "held",
    **dict.fromkeys(("missed", "low", "high"), 0.001),
    **dict.fromkeys(("skipped", "checked", "hits", "filled"), 3),
}

KINDS: dict[str, Kind] = {
    "triage bound": Kind(_run_file("triage/bound.json"), lambda house: _BOUND, lambda house: read_bound(house.run)),
    "triage learnt": Kind(_run_file("triage/learnt.json"), lambda house: _LEARNT, lambda house: read_learnt(house.run)),
    "triage verdict": Kind(
        _run_file("triage/verdict.json"), lambda house: _VERDICT, lambda house: read_verdict(house.run)
    ),
    "marker": Kind(
        lambda house: Path(OutputLayout(str(house.output)).marker(("entity_type",))), _marker, _finish, _in_metadata
    ),
    "marker of an earlier release": Kind(
        lambda house: Path(OutputLayout(str(house.output)).earlier_marker), _marker, _finish_earlier
    ),
    "journal": Kind(lambda house: house.journal, _journal, _finish),
    "configuration": Kind(_run_file("config.json"), _pinned, lambda house: prune(str(house.workdir), 0.0)),
    "latest": Kind(
        lambda house: house.workdir / "latest.json",
        lambda house: {"run_id": house.run.id},
        lambda house: load_run(str(house.workdir), "latest"),
    ),
    "claim": Kind(
        lambda house: Path(house.run.layout.lease_folder) / "000001.json",
        lambda house: {"host": "h", "pid": 1, "started": 1.0, "machine": "", "since": 5.0, "nonce": "n"},
        _look,
    ),
    "beat": Kind(
        lambda house: Path(house.run.layout.lease_folder) / "000001.beat.json",
        lambda house: {"beats": 1, "nonce": "n"},
        _look,
    ),
    "end": Kind(
        lambda house: Path(house.run.layout.lease_folder) / "000001.end.json", lambda house: {"nonce": "n"}, _look
    ),
    "store manifest": Kind(
        lambda house: Path(house.store.manifests) / "000000000001.json",
        lambda house: {"at": 1.0, "added": [], "replaced": [CELLS], "nonce": "n"},
        _store,
    ),
    "registered store": Kind(
        lambda house: house.workdir / "stores" / f"{'d' * 16}.json",
        lambda house: {"path": f"{house.workdir}/store"},
        lambda house: stores_of(str(house.workdir)),
    ),
    "export": Kind(
        lambda house: house.export / "export.json",
        lambda house: {"dataset": "uniner-dist export", "format": "jsonl", "complete": True},
        _export,
    ),
    "documents of an export": Kind(
        lambda house: house.export / "_export" / "part-00000-00000.documents",
        lambda house: "4" * 32,
        lambda house: has_documents(str(house.export), "salt", ["Ada"]),
        lambda value: f"{value if isinstance(value, str) else json.dumps(value)}\n".encode("utf-8", "replace"),
    ),
    "registered export": Kind(
        lambda house: Path(OutputLayout(str(house.output)).exports) / f"{'d' * 32}.json",
        lambda house: {"path": str(house.export)},
        lambda house: erase_from_exports(str(house.output), ["Ada"], always),
        may_look=("", "export.json"),
    ),
    "registered workdir": Kind(
        lambda house: Path(StoreLayout(str(house.workdir / "store"), "").workdirs) / f"{'d' * 32}.json",
        lambda house: {"path": str(house.workdir)},
        lambda house: workdirs_of(str(house.workdir / "store")),
    ),
    "verdict that an erasure looks into": Kind(
        lambda house: Path(_gate(house).verdict),
        lambda house: {"gold": None, "drift": None, "sample": 0, "in_corpus": ["gold:1"]},
        lambda house: erase_from_gates(house.run, ["1"], lambda *_: Erasure()),
    ),
    "sample": Kind(
        lambda house: Path(OutputLayout(str(house.output)).sample),
        lambda house: {
            "texts": {"1": "Ada"},
            "sources": {"person": {"ask": "person", "fingerprint": "f", "model": "m", "run_id": RUN}},
            "answers": [{"doc_id": "1", "label": "person", "outcome": "found", "mentions": [["Ada", 0, 3]]}],
        },
        lambda house: read_sample(str(house.output)),
    ),
    "footers": Kind(
        _run_file("footers.json"),
        lambda house: json.loads(
            (house.root.with_name("template") / f"out.work/runs/{house.run.id}/footers.json").read_bytes()
        ),
        lambda house: run_snapshot(house.run),
    ),
    "erased": Kind(
        lambda house: house.workdir / "erased" / f"{'e' * 32}.json",
        lambda house: {"1" * 32: ["2" * 32]},
        lambda house: read_erased(str(house.workdir / "erased")),
    ),
    "salt": Kind(
        lambda house: house.workdir / "erased" / "salt.json",
        lambda house: {"salt": "3" * 32},
        lambda house: read_erased(str(house.workdir / "erased")),
    ),
    "attempt": Kind(
        lambda house: Path(house.run.layout.attempts) / "1700000000.000.json",
        lambda house: {"begun": 1.0, "ended": 2.0, "prompts": 3, "engines": ["vllm 1"]},
        lambda house: read_starts(house.run.layout),
    ),
    "shards": Kind(
        _run_file("shards.parquet"),
        lambda house: [{"shard": SHARD, "prompts": 1, "asked": 1, "passages": 1, "estimated_tokens": 9}],
        _shards,
        _as_parquet,
    ),
    "retry": Kind(
        lambda house: Path(house.run.layout.retry),
        lambda house: {"published": 1, "reopened": True},
        lambda house: read_retry(house.run),
    ),
    "counted files": Kind(
        lambda house: Path(house.run.layout.splits) / COUNTED, lambda house: {"files": ["part-0.parquet"]}, _counted
    ),
    "storages": Kind(
        lambda house: Path(WorkdirLayout(str(house.workdir)).storage),
        lambda house: {"storages": {"file": {"exclusive": "link", "weaker": ["it is slow"]}}},
        lambda house: read_control(WorkdirLayout(str(house.workdir)).storage, ProbedStorages),
    ),
    "list of an export": Kind(
        lambda house: house.export / "_export" / "part-00000-00000.sha256",
        lambda house: [f"{hashlib.sha256(EXPORTED).hexdigest()}  part-00000-00000.jsonl"],
        lambda house: (list(changed_files(str(house.export))), _export(house)),
        _as_lines,
    ),
    "prompts": _record("prompts.json", PromptsSummary, _PROMPTS),
    "annotations": _record("annotations.json", AnnotationsSummary, _ANNOTATIONS),
    "progress": _record("progress.json", PoolProgress, {"at": 1.0, "stage": "x", "prompts": 2, "prompts_done": 1}),
    "progress of Spark": _record("spark_progress.json", SparkProgress, {"at": 1.0, "tasks": 2, "tasks_done": 1}),
    "report": _record(
        "report.json",
        Report,
        {
            "written_at": "",
            "prompts": _PROMPTS,
            "publication": {},
            "annotations": _ANNOTATIONS,
            "completions": {"prompts": 1},
        },
    ),
    "verdict": _record(
        "verdict.json",
        Verdict,
        {"gold": _FIGURES, "drift": None, "sample": 1, "in_corpus": ["1"], "published": None},
    ),
    "plan": _record(
        "plan.json",
        Plan,
        {
            "prompts_to_ask": 1,
            "prompt_tokens": {"expected": 1, "low": 1, "high": 2},
            "gpu_hours": None,
            "money": None,
            "price_per_gpu_hour": 1.0,
        },
    ),
}


# -- mutations ---------------------------------------------------------------------------------------------------------

_HOSTILE = (
    *("", ".", "..", "/", "../../neighbour", "../neighbour/runs/" + RUN, "/etc/passwd", "~", "*", "x\0y", "x\ny"),
    *("NEIGHBOUR", "NEIGHBOUR/entity_type=person/part-old-00000.parquet", f"NEIGHBOUR/runs/{RUN}/publication.json"),
    *("file://NEIGHBOUR", "local://NEIGHBOUR/x", "zip::file://NEIGHBOUR", f"memory://runs/{RUN}/publication.json"),
    *("HOUSE/out.work/../neighbour", "HOUSE/link", "HOUSE/link/entity_type=person", "https://127.0.0.1:9/x", "data:,x"),
    *(
        "entity_type=person/../../neighbour",
        "entity_type=..",
        "link",
        "part-../x.parquet",
        "part-x.parquet",
        ".x.parquet",
    ),
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(_HOSTILE)
    | st.sampled_from((2**63, -1, 1e308, float("nan"), float("inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Mutation:
    """What becomes of a good value: at some node something else, nothing, or one more key."""

    node: int
    what: str
    value: Any


_MUTATIONS = st.builds(
    Mutation,
    st.integers(0, 10_000),
    st.sampled_from(("replace", "replace", "replace", "delete", "rename", "append")),
    st.sampled_from(_HOSTILE) | _JSON,
)


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a value."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _nodes(value[key])


def _mutated(good: Any, mutation: Mutation) -> Any:
    value = [copy.deepcopy(good)]
    nodes = list(_nodes(value))
    container, key = nodes[mutation.node % len(nodes)]
    if mutation.what == "delete":
        del container[key]
    elif mutation.what == "rename" and isinstance(container, dict):
        container[mutation.value if isinstance(mutation.value, str) else "x"] = container.pop(key)
    elif mutation.what == "append" and isinstance(container[key], list):
        container[key].append(mutation.value)
    else:
        container[key] = mutation.value
    return value[0] if value else None


def _bytes(value: Any, house: House, kind: Kind) -> bytes:
    text = json.dumps(value, ensure_ascii=True)
    return kind.encode(json.loads(text.replace("NEIGHBOUR", str(house.neighbour)).replace("HOUSE", str(house.root))))


def _check(build: Callable[[], House], kind: Kind, make: Callable[[House], bytes]) -> None:
    house = build()
    os.symlink(house.neighbour, house.root / "link")
    path = kind.path(house)
    path.write_bytes(make(house))
    before = content(house.neighbour)
    with audited() as touched:
        try:
            kind.use(house)
        except UninerError as error:
            message = str(error)
            assert str(path) in message or str(house.root) in message, message
            assert visible(message, keep="\n") == message
        except FileNotFoundError as error:
            raise AssertionError(f"not one of our errors: {error!r}") from error
    theirs = os.path.realpath(house.neighbour)
    ours = tuple(f"{os.path.realpath(place)}" for place in (house.output, house.workdir, house.export))
    allowed = {os.path.join(theirs, name).rstrip("/") for name in kind.may_look}
    looked = (*(touched.read - allowed), *touched.changed)
    assert not [one for one in looked if one == theirs or one.startswith(theirs + "/")]
    assert not [one for one in touched.changed if not one.startswith(ours) and not one.startswith("/dev/")]
    assert content(house.neighbour) == before


_FEW = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_MANY = settings(_FEW, max_examples=100)


@pytest.mark.parametrize("name", KINDS)
def test_a_good_control_file_is_read(build: Callable[[], House], name: str) -> None:
    house = build()
    KINDS[name].use(house)


def _any_json(build: Callable[[], House], name: str, value: Any) -> None:
    _check(build, KINDS[name], lambda house: _bytes(value, house, KINDS[name]))


def _any_mutation(build: Callable[[], House], name: str, mutation: Mutation, cut: int | None) -> None:
    kind = KINDS[name]

    def make(house: House) -> bytes:
        data = _bytes(_mutated(kind.value(house), mutation), house, kind)
        return data if cut is None else data[: cut % (len(data) + 1)]

    _check(build, kind, make)


_CUTS = st.none() | st.none() | st.integers(0, 5000)


@pytest.mark.parametrize("name", KINDS)
@_FEW
@given(value=_JSON)
def test_any_json_touches_nothing_else(build: Callable[[], House], name: str, value: Any) -> None:
    _any_json(build, name, value)


@pytest.mark.parametrize("name", KINDS)
@settings(_FEW, max_examples=20)
@given(mutation=_MUTATIONS, cut=_CUTS)
def test_any_mutation_touches_nothing_else(
    build: Callable[[], House], name: str, mutation: Mutation, cut: int | None
) -> None:
    _any_mutation(build, name, mutation, cut)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@_MANY
@given(value=_JSON, mutation=_MUTATIONS, cut=_CUTS)
def test_very_many_control_files_touch_nothing_else(
    build: Callable[[], House], name: str, value: Any, mutation: Mutation, cut: int | None
) -> None:
    _any_json(build, name, value)
    _any_mutation(build, name, mutation, cut)
