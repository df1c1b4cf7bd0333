"""Outputs as Delta and Iceberg tables, as deltalake and pyiceberg read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.table import StaticTable

from tests.support.lake_tables import mark_deleted
from tests.support.output_tables import ENTITIES, newest, rows, versions, write
from uniner_dist.errors import StageError
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.place_layout import EARLIER_MARKER
from uniner_dist.storage.tables.commit import commit_files, unfit_columns
from uniner_dist.storage.tables.open import open_corpus
from uniner_dist.storage.tables.output_table import Change

LABELS = ("person", "a/b: ü %=&+?", None)


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_a_commit_makes_the_files_of_an_output_live(tmp_path: Path, kind: Literal["delta", "iceberg"]) -> None:
    output = tmp_path / "out put"
    written = dict(write(output, label, number) for number, label in enumerate(LABELS))
    (output / EARLIER_MARKER).write_text("{}")
    commit_files(str(output), kind, ["entity_type"], Change(written, (), ("uniner-dist r", 1)))
    assert rows(output, kind) == list(written.values())
    assert versions(output, kind) == 1

    new, row = write(output, "place", 7)
    gone = next(iter(written))
    change = Change([new], [gone], ("uniner-dist r2", 1))
    commit_files(str(output), kind, ["entity_type"], change)
    assert rows(output, kind) == [*list(written.values())[1:], row], "files that go are no longer live"
    (output / gone).unlink()
    commit_files(str(output), kind, ["entity_type"], change)
    assert versions(output, kind) == 2, "what is committed is not committed again"
    assert set(open_corpus(str(output)).relative) == set(list_corpus(str(output)).relative), "read as what it is"


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_an_output_can_lose_its_last_row_and_get_another(tmp_path: Path, kind: Literal["delta", "iceberg"]) -> None:
    name, _ = write(tmp_path, "person", 1)
    commit_files(str(tmp_path), kind, ["entity_type"], Change([name], (), None))
    commit_files(str(tmp_path), kind, ["entity_type"], Change((), [name], None))
    assert rows(tmp_path, kind) == []
    (tmp_path / name).unlink()
    name, row = write(tmp_path, "person", 2)
    commit_files(str(tmp_path), kind, ["entity_type"], Change([name], (), None))
    assert rows(tmp_path, kind) == [row]


def test_who_made_a_commit_is_in_the_table(tmp_path: Path) -> None:
    for kind in ("delta", "iceberg"):
        output = tmp_path / kind
        name, _ = write(output, "person", 1)
        commit_files(str(output), kind, ["entity_type"], Change([name], (), ("uniner-dist r", 3)))
    assert DeltaTable(str(tmp_path / "delta")).transaction_version("uniner-dist r") == 3
    snapshot = StaticTable.from_metadata(str(newest(tmp_path / "iceberg"))).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    made = {key: value for key, value in snapshot.summary.additional_properties.items() if "uniner" in key}
    assert made == {"uniner-dist.run": "uniner-dist r", "uniner-dist.times": "3"}


def delete_the_file(output: str) -> None:
    DeltaTable(output).delete("doc_id = 'd1'")


def delete_by_vector(output: str) -> None:
    mark_deleted(output, [0])


def insert(output: str) -> None:
    write_deltalake(output, pa.table({"doc_id": ["d9"], "entity_type": ["person"]}), mode="append", schema_mode="merge")


@pytest.mark.parametrize("written_by_another", [delete_the_file, delete_by_vector, insert])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_table_that_another_program_changed_is_not_written_over(
    tmp_path: Path, written_by_another: Callable[[str], None], replaced: bool
) -> None:
    name, _ = write(tmp_path, "person", 1)
    commit_files(str(tmp_path), "delta", ["entity_type"], Change([name], (), None))
    written_by_another(str(tmp_path))
    second, _ = write(tmp_path, "person", 2)
    with pytest.raises(StageError, match="changed by another program"):
        commit_files(str(tmp_path), "delta", ["entity_type"], Change([second], [name] * replaced, None))


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_a_table_with_other_partitions_than_the_output_is_refused(
    tmp_path: Path, kind: Literal["delta", "iceberg"]
) -> None:
    name, _ = write(tmp_path, "person", 1)
    commit_files(str(tmp_path), kind, ["entity_type"], Change([name], (), None))
    second, _ = write(tmp_path, "person", 2)
    with pytest.raises(StageError, match="the partitions of its table were changed by another program"):
        commit_files(str(tmp_path), kind, [], Change([second], (), None))


def test_columns_that_a_table_cannot_hold_are_known_before() -> None:
    kinds = [pa.string(), pa.int16(), pa.timestamp("us"), pa.decimal128(9, 2), ENTITIES]
    fields = [*(pa.field(f"c{number}", kind) for number, kind in enumerate(kinds)), pa.field("d", pa.duration("us"))]
    assert unfit_columns("delta", fields) == unfit_columns("iceberg", fields) == ["d (duration[us])"]
