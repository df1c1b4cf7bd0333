"""What a table over an output says of itself, as anybody might leave it: a commit touches nothing but the output.

Like `test_control_files`, for files that pyiceberg and deltalake read: a neighbour must stay byte-identical and unread,
and every refusal is one of our errors that names the output.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from tests.support.audited import audited, content
from tests.unit.test_control_files import _CUTS, _FEW, _JSON, _MUTATIONS, Mutation, _mutated
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError, StageError, UninerError
from uniner_dist.storage.tables.commit import commit_files
from uniner_dist.storage.tables.iceberg_commit import open_iceberg_output
from uniner_dist.storage.tables.open import open_corpus
from uniner_dist.storage.tables.output_table import Change, NewFile

Kind = Literal["delta", "iceberg"]
#: File that a table consists of → the format.
FILES: dict[str, Kind] = {
    "_delta_log/00000000000000000000.json": "delta",
    "_delta_log/00000000000000000001.json": "delta",
    "_iceberg/metadata/v2.metadata.json": "iceberg",
    "_iceberg/metadata/version-hint.text": "iceberg",
}


@dataclass(frozen=True)
class Outputs:
    """An output of each format, and a neighbour with the same."""

    root: Path

    def output(self, kind: Kind) -> Path:
        return self.root / "house" / kind

    @property
    def neighbour(self) -> Path:
        return self.root / "neighbour"


def _write(output: Path, number: int) -> str:
    name = f"entity_type=person/part-{number:012}-0.parquet"
    (output / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"doc_id": [f"d{number}"], "outcome": ["found"]}), output / name)
    return name


def _commit(output: Path, kind: Kind, added: str, gone: tuple[str, ...] = ()) -> None:
    commit_files(str(output), kind, ["entity_type"], Change([added], gone, ("uniner-dist r", 1)))


@pytest.fixture(scope="module")
def template() -> Iterator[Outputs]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tables-", dir=memory) as folder:
        outputs = Outputs(Path(folder))
        for kind in ("delta", "iceberg"):
            for place in (outputs.output(kind), outputs.neighbour / kind):
                _commit(place, kind, _write(place, 1))
        shutil.copytree(outputs.root / "house", outputs.root / "template")
        yield outputs


@pytest.fixture(scope="module")
def build(template: Outputs) -> Callable[[], Outputs]:
    def built() -> Outputs:
        shutil.rmtree(template.root / "house", ignore_errors=True)
        shutil.copytree(template.root / "template", template.root / "house")
        return template

    return built


def _said(act: Callable[[], None]) -> str | None:
    """The words of an error of ours."""
    try:
        act()
    except UninerError as error:
        return str(error)
    return None


def _change(outputs: Outputs, kind: Kind) -> None:
    """One more file comes, the first one goes: all that a commit reads and writes."""
    output = outputs.output(kind)
    added = _write(output, 2)
    with audited() as touched:
        said = _said(lambda: _commit(output, kind, added, ("entity_type=person/part-000000000001-0.parquet",)))
    assert said is None or (str(output) in said and visible(said, keep="\n") == said), said
    theirs = os.path.realpath(outputs.neighbour)
    seen = (*touched.read, *touched.changed)
    assert not [one for one in seen if one == theirs or one.startswith(theirs + "/")]
    ours = os.path.realpath(output)
    assert not [one for one in touched.changed if not one.startswith((ours, "/dev/"))]


def _lines(value: Any) -> bytes:
    parts = value if isinstance(value, list) else [value]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in parts).encode("utf-8", "replace")


def _read(path: Path) -> Any:
    """A file as a JSON value: a log line by line."""
    return (
        [json.loads(line) for line in path.read_text().splitlines()]
        if "delta" in str(path)
        else json.loads(path.read_text())
    )


def _put(outputs: Outputs, name: str, value: Any, cut: int | None = None) -> None:
    kind = FILES[name]
    path = outputs.output(kind) / name
    text = (
        json.dumps(value)
        .replace("NEIGHBOUR", f"{outputs.neighbour}/{kind}")
        .replace("HOUSE", str(outputs.output(kind)))
    )
    data = _lines(json.loads(text)) if kind == "delta" else text.encode()
    path.write_bytes(data if cut is None else data[: cut % (len(data) + 1)])


@pytest.mark.parametrize("name", FILES)
@settings(_FEW, max_examples=10)
@given(mutation=_MUTATIONS, cut=_CUTS)
def test_any_mutation_of_a_table_touches_nothing_else(
    build: Callable[[], Outputs], name: str, mutation: Mutation, cut: int | None
) -> None:
    outputs = build()
    before = content(outputs.neighbour)
    _put(outputs, name, _mutated(_read(outputs.output(FILES[name]) / name), mutation), cut)
    _change(outputs, FILES[name])
    assert content(outputs.neighbour) == before


@pytest.mark.parametrize("name", FILES)
@_FEW
@given(value=_JSON)
def test_any_json_for_a_table_touches_nothing_else(build: Callable[[], Outputs], name: str, value: Any) -> None:
    outputs = build()
    _put(outputs, name, value)
    _change(outputs, FILES[name])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("write.py-location-provider.impl", "tests.unit.test_tables_read_back.Loaded"),
        ("write.metadata.path", "file://NEIGHBOUR/_iceberg/metadata"),
        ("write.data.path", "file://NEIGHBOUR"),
        ("write.object-storage.enabled", "true"),
    ],
)
def test_properties_of_a_table_load_no_code_and_lead_nowhere(
    build: Callable[[], Outputs], key: str, value: str
) -> None:
    outputs = build()
    output, name = outputs.output("iceberg"), "_iceberg/metadata/v2.metadata.json"
    metadata = _read(output / name)
    metadata["properties"][key] = value
    _put(outputs, name, metadata)
    before = content(output)
    with pytest.raises(StageError, match=rf"{name}: names properties {key}"):
        _commit(output, "iceberg", "entity_type=person/part-000000000001-0.parquet", ())
    assert content(output) == before
    assert not Loaded.made


class Loaded:
    """What a property of a table names to be loaded."""

    made: ClassVar[list[Any]] = []

    def __init__(self, *arguments: Any) -> None:
        self.made.append(arguments)


@pytest.mark.parametrize("place", ["location", "manifest-list"])
def test_a_table_that_names_the_neighbours_files_is_not_read(build: Callable[[], Outputs], place: str) -> None:
    outputs = build()
    output, name = outputs.output("iceberg"), "_iceberg/metadata/v2.metadata.json"
    metadata, theirs = _read(output / name), _read(outputs.neighbour / "iceberg" / name)
    if place == "location":
        metadata["location"] = theirs["location"]
    else:
        metadata["snapshots"] = theirs["snapshots"]
        metadata["current-snapshot-id"] = theirs["current-snapshot-id"]
        metadata["refs"] = theirs["refs"]
    _put(outputs, name, metadata)
    words = "another folder" if place == "location" else str(outputs.neighbour)
    with pytest.raises(UninerError, match=f"{output}/_iceberg/metadata.*: names .*{words}"):
        _commit(output, "iceberg", _write(output, 2), ())
    _change(outputs, "iceberg")


@pytest.mark.parametrize("folder", ["_delta_log", "_iceberg", "_iceberg/metadata"])
def test_a_tables_folder_that_is_a_link_is_not_written_through(build: Callable[[], Outputs], folder: str) -> None:
    outputs = build()
    kind: Kind = "delta" if folder == "_delta_log" else "iceberg"
    place = outputs.output(kind) / folder
    shutil.rmtree(place)
    place.symlink_to(outputs.neighbour / kind / folder)
    before = content(outputs.neighbour)
    with pytest.raises(ConfigError, match=f"{place}: is a link"):
        _commit(outputs.output(kind), kind, _write(outputs.output(kind), 2), ())
    assert content(outputs.neighbour) == before


def test_a_corpus_of_iceberg_names_no_file_on_another_kind_of_storage(build: Callable[[], Outputs]) -> None:
    outputs = build()
    name = "_iceberg/metadata/v2.metadata.json"
    path = outputs.output("iceberg") / name
    corpus = path.parents[1]
    assert len(open_corpus(str(corpus)).files) == 1
    metadata = _read(path)
    metadata["snapshots"][-1]["manifest-list"] = "memory://elsewhere/list.avro"
    _put(outputs, name, metadata)
    with pytest.raises(ConfigError, match=rf"{name}: names a file on another kind of storage, memory://elsewhere"):
        open_corpus(str(corpus))


def test_a_data_file_elsewhere_is_read_neither_as_corpus_nor_as_output(
    build: Callable[[], Outputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = build().output("iceberg")
    table = open_iceberg_output(str(output), ["entity_type"], None)
    assert table is not None
    monkeypatch.setattr(table, "_base", "memory://elsewhere")
    table.commit([NewFile("entity_type=person/part-000000000009-0.parquet", 1, 1)], [], None)
    with pytest.raises(ConfigError, match="names a file on another kind of storage, memory://elsewhere"):
        open_corpus(str(output / "_iceberg"))
    with pytest.raises(StageError, match=r"changed by another program \(memory://elsewhere"):
        _commit(output, "iceberg", _write(output, 2), ())
