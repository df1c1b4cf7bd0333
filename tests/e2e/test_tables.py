"""Every command over a corpus that is a table and an output that is one: the table's rows stay those of the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.e2e.conftest import SCRIPTED, call, read_rows, uniner_dist
from tests.support import lake_tables, output_tables
from uniner_dist.storage.tables.commit import TableFormat

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Notes:
    """A corpus that is a table of either format."""

    def __init__(self, folder: Path, kind: TableFormat) -> None:
        self.kind, self.path = kind, str(folder / "notes")
        first = documents(range(24))
        if kind == "delta":
            write_deltalake(self.path, first)
        else:
            self.table = lake_tables.catalog(folder / "warehouse").create_table("ns.t", schema=first.schema)
            self.path = self.table.location().removeprefix("file://")
            self.table.append(first)
            self._name_newest()

    def append(self, numbers: range) -> None:
        if self.kind == "delta":
            write_deltalake(self.path, documents(numbers), mode="append")
        else:
            self.table.append(documents(numbers))
            self._name_newest()

    def edit(self, doc_id: str) -> None:
        """Another text for a document."""
        if self.kind == "delta":
            DeltaTable(self.path).update(updates={"text": "'Zoe.'"}, predicate=f"doc_id = '{doc_id}'")
        else:
            self.table.overwrite(pa.table({"doc_id": [doc_id], "text": ["Zoe."]}), f"doc_id == '{doc_id}'")
            self._name_newest()

    def delete(self, doc_id: str) -> None:
        if self.kind == "delta":
            DeltaTable(self.path).delete(f"doc_id = '{doc_id}'")
        else:
            self.table.delete(f"doc_id == '{doc_id}'")
            self._name_newest()

    def _name_newest(self) -> None:
        hint = Path(self.path, "metadata/version-hint.text")
        hint.write_text(self.table.metadata_location.rsplit("/", 1)[1])


def documents(numbers: range) -> pa.Table:
    """Short documents."""
    return pa.table({"doc_id": [f"d{n:03d}" for n in numbers], "text": [f"Paula met Erik {n} times." for n in numbers]})


@pytest.mark.usefixtures("spark", "ray")
@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_every_command_keeps_the_table_and_the_files_alike(tmp_path: Path, kind: TableFormat) -> None:
    notes, output, work = Notes(tmp_path, kind), tmp_path / "out", str(tmp_path / "out.work")
    places = ["--corpus", notes.path, "--output", str(output), "--types", "person,location"]
    options = [*places, *SCRIPTED, "--set", f"output.format={kind}"]

    def check(ids: set[str], commits: int) -> None:
        """What the format's library reads is what readers of Parquet read."""
        table = output_tables.rows(output, kind, without="run_id")
        files: dict[Any, Any] = read_rows(output)
        assert {(row["doc_id"], row["entity_type"]): row for row in table} == files
        assert {doc_id for doc_id, _ in files} == ids
        assert output_tables.versions(output, kind) == commits

    first = {f"d{n:03d}" for n in range(24)}
    call(uniner_dist("plan", *options))
    notes.append(range(24, 26))
    run = call(uniner_dist("prompts", *options)).strip().splitlines()[-1]
    notes.delete("d003")
    call(uniner_dist("completions", "--workdir", work, "--run", run))
    notes.edit("d004")
    call(uniner_dist("annotations", "--workdir", work, "--run", run))
    check(first, 1)
    assert "published" in call(uniner_dist("status", "--workdir", work))

    export = ["export", "--annotations", str(output), "--format", "jsonl", "--output", str(tmp_path / "export")]
    call(uniner_dist(*export))
    texts = exported(tmp_path / "export")
    assert texts == dict(zip(*documents(range(24)).to_pydict().values(), strict=True)), "of the annotated version"
    call(uniner_dist(*export, "--replace", "--set", f"corpus.version={newest(notes)}"))
    assert exported(tmp_path / "export").keys() == first - {"d003", "d004"}, "its text is not the annotated one now"

    shutil.copytree(output, tmp_path / "before")
    call(uniner_dist("annotate", *options))
    now = first - {"d003"} | {"d024", "d025"}
    check(now, 2)
    call(uniner_dist("evaluate", "--annotations", str(output), "--gold", str(tmp_path / "before")))
    call(uniner_dist("diff", "--before", str(tmp_path / "before"), "--after", str(output)))
    call(uniner_dist("report", "--workdir", work, "--run", run))
    call(uniner_dist("compact", "--workdir", work))
    call(uniner_dist("prune", "--workdir", work, "--older-than-days", "0"))
    check(now, 2)

    call(uniner_dist("forget", "--workdir", work, "--id", "d005"))
    check(now - {"d005"}, 3)
    for trace in ("d005", "Erik 5 times"):
        assert output_tables.holds(output, trace) == [], "neither in live files nor in what the table remembers"
    call(uniner_dist("annotate", *options))
    check(now - {"d005"}, 3)
    call(uniner_dist("forget", "--workdir", work, "--id", "d005", "--restore"))
    call(uniner_dist("annotate", *options))
    check(now, 4)


def newest(notes: Notes) -> int:
    """Its newest version."""
    if notes.kind == "delta":
        return DeltaTable(notes.path).version()
    return int(notes.table.current_snapshot().snapshot_id)


def exported(folder: Path) -> dict[str, str]:
    """Texts of an export in JSON lines, by id."""
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    return {row["doc_id"]: row["text"] for row in rows}
