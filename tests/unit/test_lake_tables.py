"""Which rows of Delta and Iceberg tables a corpus has, compared with what deltalake and pyiceberg say themselves."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.table import StaticTable
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import StringType

from tests.support import lake_tables
from uniner_dist.config.loading import load_config
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold_slice import read_gold_slice
from uniner_dist.formats.kinds import source_format
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.corpus_snapshot import look_at_corpus
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import Snapshot, footers_of, with_footers
from uniner_dist.storage.table_version import deleted_rows, deletion_mark
from uniner_dist.storage.tables.open import NEWEST, Wanted, open_corpus
from uniner_dist.storage.tables.present import require_files


def look(path: str, wanted: Wanted = NEWEST) -> Snapshot:
    listing = open_corpus(path, wanted)
    return with_footers(listing, footers_of(listing))


def read(path: str, wanted: Wanted = NEWEST) -> list[dict[str, Any]]:
    """All columns of all rows, in order."""
    snapshot = look(path, wanted)
    assert snapshot.table is not None
    batches = rows_of(snapshot, snapshot.table.schema.names)
    return _sorted([row for batch in batches for row in batch.to_pylist()])


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["doc_id"]))


def by_deltalake(path: str, version: int | None = None) -> list[dict[str, Any]]:
    return _sorted(pa.table(DeltaTable(path, version=version).scan()).to_pylist())


def test_a_delta_table_gives_its_live_rows_at_any_version(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1, 2, 3)
    DeltaTable(path).delete("doc_id = '2'")
    DeltaTable(path).update(updates={"text": "'Zoe.'"}, predicate="doc_id = '3'")
    source = lake_tables.rows(1, 9, text="Merged {}.")
    merged = DeltaTable(path).merge(source, "s.doc_id = t.doc_id", source_alias="s", target_alias="t")
    merged.when_matched_update_all().when_not_matched_insert_all().execute()
    write_deltalake(
        path, lake_tables.rows(5).append_column("lang", pa.array(["de"])), mode="append", schema_mode="merge"
    )
    DeltaTable(path).optimize.compact()
    write_deltalake(path, lake_tables.rows(7), mode="overwrite", schema_mode="overwrite")
    for version in range(DeltaTable(path).version() + 1):
        assert read(path, Wanted(version=version)) == by_deltalake(path, version)
    assert read(path) == by_deltalake(path)


def test_partition_values_come_from_the_log_in_their_types(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 1, 1, 2, 3, 4, tzinfo=datetime.UTC)
    rows = lake_tables.rows(1, 2, 3, 4)
    for name, values in {
        "day": ["x y", "ü/%=:", "a", None],
        "n": [1, 2, None, 4],
        "at": [moment] * 4,
        "on": [moment.date(), None, moment.date(), moment.date()],
        "yes": [True, False, None, True],
    }.items():
        rows = rows.append_column(name, pa.array(values))
    write_deltalake(str(tmp_path / "t"), rows, partition_by=["day", "n", "at", "on", "yes"])
    assert look(str(tmp_path / "t")).partitions == ("day", "n", "at", "on", "yes")
    assert read(str(tmp_path / "t")) == by_deltalake(str(tmp_path / "t"))


def test_rows_of_a_deletion_vector_do_not_come_back(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", *range(1, 9))
    lake_tables.mark_deleted(path, [1, 6])
    assert [row["doc_id"] for row in read(path)] == ["1", "3", "4", "5", "6", "8"]
    assert read(path) == by_deltalake(path)
    assert sum(look(path).rows) == 6
    assert len(read(path, Wanted(version=0))) == 8


def test_a_mark_says_which_rows_are_deleted() -> None:
    deleted = pa.array([False, True, False]).to_numpy(zero_copy_only=False)
    assert deleted_rows(deletion_mark(deleted))[:3].tolist() == [False, True, False]
    assert deletion_mark(~deleted & deleted) == b""


def test_a_delta_table_without_rows_is_a_corpus_without_rows(tmp_path: Path) -> None:
    DeltaTable.create(str(tmp_path / "t"), schema=lake_tables.rows(1).schema)
    assert read(str(tmp_path / "t")) == []


def test_local_files_are_found_however_their_writer_spells_them(tmp_path: Path) -> None:
    """Java writes `file:/x`, as in clones of Delta tables and in all that Spark writes of Iceberg."""
    original, clone = lake_tables.delta(tmp_path / "o", 1, 2), tmp_path / "c"
    log = Path("_delta_log", f"{0:020}.json")
    (clone / log).parent.mkdir(parents=True)
    (clone / log).write_text(Path(original, log).read_text().replace('"path":"', f'"path":"file:{original}/'))
    table = lake_tables.iceberg(tmp_path / "i", 1, 2, location=f"file:{tmp_path}/i/t")
    assert table.metadata_location.startswith(f"file:{tmp_path}/")
    metadata = table.metadata_location.removeprefix("file:")
    assert [read(str(clone)), read(metadata)] == [by_deltalake(original), table.scan().to_arrow().to_pylist()]
    require_files(look(metadata).listing)


def test_a_version_as_of_a_time_is_the_last_one_before_it(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    first = DeltaTable(path).history()[0]["timestamp"] / 1000
    write_deltalake(path, lake_tables.rows(2), mode="append")
    at = datetime.datetime.fromtimestamp(first, datetime.UTC)
    assert [row["doc_id"] for row in read(path, Wanted(as_of=at))] == ["1"]
    assert len(read(path, Wanted(as_of=at + datetime.timedelta(days=1)))) == 2
    with pytest.raises(ConfigError, match=r"no version as old as corpus\.as_of"):
        look(path, Wanted(as_of=at - datetime.timedelta(days=1)))


def test_a_log_without_times_is_told_in_words(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    for log in (tmp_path / "t/_delta_log").glob("*.json"):
        log.write_text("".join(line for line in log.open() if '"commitInfo"' not in line))
    with pytest.raises(ConfigError, match="the log tells no times"):
        look(path, Wanted(as_of=datetime.datetime.now(datetime.UTC)))


def test_a_vacuumed_version_is_refused_in_words(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1, 2)
    listing = open_corpus(path, Wanted(version=0))
    DeltaTable(path).delete("doc_id = '2'")
    DeltaTable(path).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ConfigError, match=r"Delta version 0 needs it: the table was vacuumed"):
        look(path, Wanted(version=0))
    with pytest.raises(ConfigError, match=r"Delta version 0 needs it: the table was vacuumed"):
        require_files(listing)
    with pytest.raises(ConfigError, match="has no version 77"):
        look(path, Wanted(version=77))
    with pytest.raises(ConfigError, match="is a number, not 'main'"):
        look(path, Wanted(version="main"))


def test_what_needs_a_feature_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    lake_tables.mark_deleted(path, [0])
    log = Path(path, "_delta_log", f"{1:020}.json")
    log.write_text(log.read_text().replace('["deletionVectors"]', '["deletionVectors", "variantShredding"]'))
    with pytest.raises(ConfigError, match="needs variantShredding, which is not read here"):
        look(path)


@pytest.mark.parametrize("feature", ["timestampNtz", "v2Checkpoint", "variantType", "deletionVectors"])
def test_features_that_change_no_other_column_are_read(tmp_path: Path, feature: str) -> None:
    path = lake_tables.delta(tmp_path / "t", 1, 2)
    lake_tables.need_features(path, [feature], [feature, "rowTracking", "domainMetadata", "clustering"])
    assert read(path) == by_deltalake(path)
    assert len(read(path)) == 2


def test_an_empty_partition_value_is_null_as_the_protocol_says(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, lake_tables.rows(1, 2).append_column("day", pa.array(["", "x"])), partition_by=["day"])
    assert [row["day"] for row in read(path)] == [None, "x"]


def test_an_iceberg_table_gives_its_live_rows_at_any_snapshot(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1, 2, 3)
    table.delete("doc_id == '2'")
    with table.update_schema() as schema:
        schema.rename_column("text", "body")
        schema.add_column("lang", StringType())
    added = pa.table({"doc_id": ["9"], "body": ["Eve."], "lang": ["en"]})
    table.append(added)
    table.overwrite(added.set_column(1, "body", pa.array(["Zoe."])), "doc_id == '9'")
    for snapshot in table.metadata.snapshots:
        wanted = Wanted(version=snapshot.snapshot_id)
        expected = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().to_pylist()
        assert read(table.metadata_location, wanted) == _sorted(expected)
    assert read(table.metadata_location) == _sorted(table.scan().to_arrow().to_pylist())
    with pytest.raises(ConfigError, match="no snapshot, branch or tag 12"):
        look(table.metadata_location, Wanted(version=12))


def test_position_deletes_are_applied_and_equality_deletes_refused(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1, 2, 3, 4)
    lake_tables.delete_by_file(table, [1, 3])
    assert [row["doc_id"] for row in read(table.metadata_location)] == ["1", "3"]
    assert len(table.scan().to_arrow()) == 2
    lake_tables.delete_by_file(table, [1], equality=True)
    with pytest.raises(ConfigError, match="has equality deletes"):
        look(table.metadata_location)


def test_a_deletion_vector_of_an_iceberg_table_is_applied(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1, 2, 3, 4)
    lake_tables.delete_by_file(table, [0, 2], vector=True)
    assert [row["doc_id"] for row in read(table.metadata_location)] == ["2", "4"]
    assert table.scan().to_arrow()["doc_id"].to_pylist() == ["2", "4"]


def test_initial_defaults_of_an_iceberg_table_are_read(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1, 2)
    path = lake_tables.with_fields(
        table,
        {"id": 3, "name": "lang", "required": False, "type": "string", "initial-default": "en", "write-default": "de"},
        {"id": 4, "name": "n", "required": True, "type": "long", "initial-default": 7, "write-default": 9},
    )
    assert read(path) == _sorted(StaticTable.from_metadata(path).scan().to_arrow().to_pylist())
    assert [(row["lang"], row["n"]) for row in read(path)] == [("en", 7)] * 2


def test_what_pyiceberg_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1)
    path = lake_tables.with_fields(table, {"id": 3, "name": "v", "required": False, "type": "variant"})
    with pytest.raises(ConfigError, match=r"Unsupported field type: 'variant'$"):
        look(path)
    lake_tables.add_file(table, lake_tables.rows(2), key_metadata=b"key")
    with pytest.raises(ConfigError, match="has encrypted files"):
        look(table.metadata_location)


def test_partition_specs_may_change_and_their_transforms_are_no_columns(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1)
    transforms = {"bucket": BucketTransform(4), "short": TruncateTransform(3), "text": IdentityTransform()}
    for number, (name, transform) in enumerate(transforms.items(), 2):
        with table.update_spec() as spec:
            spec.add_field("text", transform, name)
        data = lake_tables.rows(number)
        lake_tables.add_file(table, data, *[3, "Ada", data["text"][0].as_py()][: number - 1])
    assert look(table.metadata_location).partitions == ("text",)
    with table.update_spec() as spec:
        spec.remove_field("text")
    lake_tables.add_file(table, lake_tables.rows(5), 3, "Ada")
    snapshots = table.metadata.snapshots
    table.manage_snapshots().create_branch(snapshots[0].snapshot_id, "old").create_tag(
        snapshots[2].snapshot_id, "v1"
    ).commit()
    assert read(table.metadata_location) == _sorted(table.scan().to_arrow().to_pylist())
    assert [row["doc_id"] for row in read(table.metadata_location)] == ["1", "2", "3", "4", "5"]
    assert look(table.metadata_location).partitions == ()
    for name, count in {"old": 1, "v1": 3}.items():
        assert len(read(table.metadata_location, Wanted(version=name))) == count


def test_migrated_files_without_field_ids_are_read_by_name(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1)
    pq.write_table(lake_tables.rows(5, 6), tmp_path / "migrated.parquet")
    table.add_files([f"file://{tmp_path}/migrated.parquet"])
    with table.update_schema() as schema:
        schema.rename_column("text", "body")
    assert read(table.metadata_location) == _sorted(table.scan().to_arrow().to_pylist())
    assert [row["body"][-2:] for row in read(table.metadata_location)] == ["1.", "5.", "6."]


def test_an_iceberg_folder_without_a_hint_is_no_guess(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1)
    folder = table.location().removeprefix("file://")
    with pytest.raises(ConfigError, match=r"without metadata/version-hint\.text"):
        look(folder)
    Path(folder, "metadata/version-hint.text").write_text(table.metadata_location.rsplit("/", 1)[1])
    assert [row["doc_id"] for row in read(folder)] == ["1"]


def test_missing_files_of_iceberg_metadata_are_named(tmp_path: Path) -> None:
    table = lake_tables.iceberg(tmp_path, 1)
    metadata = table.metadata_location
    with pytest.raises(ConfigError, match=r"no\.metadata\.json: is not there"):
        look(str(tmp_path / "no.metadata.json"))
    snapshot = table.current_snapshot()
    assert snapshot is not None
    for gone in (snapshot.manifests(table.io)[0].manifest_path, snapshot.manifest_list):
        Path(gone.removeprefix("file://")).unlink()
        with pytest.raises(ConfigError, match=f"metadata is gone .*{gone.rsplit('/', 1)[1]}"):
            look(metadata)


def test_a_catalog_of_pyiceberg_names_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake_tables.iceberg(tmp_path, 1, 2)
    monkeypatch.setenv("PYICEBERG_CATALOG__C__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__C__URI", f"sqlite:///{tmp_path}/c.db")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", __import__("pyiceberg.utils.config").utils.config.Config())
    assert len(read("table:c.ns.t")) == 2
    with pytest.raises(ConfigError, match="no such table"):
        look("table:c.ns.u")
    with pytest.raises(ConfigError, match="CATALOG"):
        look("table:house")


def test_only_tables_have_versions(tmp_path: Path) -> None:
    lake_tables.delta(tmp_path / "t", 1)
    shutil.rmtree(tmp_path / "t/_delta_log")
    with pytest.raises(ConfigError, match="has no versions"):
        open_corpus(str(tmp_path / "t"), Wanted(version=0))


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_the_hash_of_a_table_is_that_of_its_version(tmp_path: Path, kind: str) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    if kind == "delta":
        first = look(path)
        write_deltalake(path, lake_tables.rows(2), mode="append")
        again, later = look(path, Wanted(version=0)), look(path)
    else:
        table = lake_tables.iceberg(tmp_path, 1)
        first = look(table.metadata_location)
        table.append(lake_tables.rows(2))
        assert first.table is not None
        again, later = look(table.metadata_location, Wanted(pinned=first.table.version)), look(table.metadata_location)
    assert first.digest == again.digest != later.digest


@pytest.mark.parametrize("old", ["text", "day"])
def test_renamed_columns_of_a_delta_table_are_found(tmp_path: Path, old: str) -> None:
    path = str(tmp_path / "t")
    data = lake_tables.rows(1, 2).append_column("day", pa.array(["x", None]))
    write_deltalake(path, data, partition_by=["day"])
    lake_tables.rename_column(path, old, "renamed")
    found = read(path)
    assert found == by_deltalake(path)
    assert [row["renamed"] for row in found] == data[old].to_pylist()


def test_a_damaged_run_hides_no_unfinished_one(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    config = load_config(None, (), {"corpus.path": path, "output.path": f"{tmp_path}/out", "types": "person"})
    run = open_run(config)
    write_deltalake(path, lake_tables.rows(2), mode="append")
    damaged = Path(RunLayout(run.layout.workdir, "0" * len(run.id)).config)
    damaged.parent.mkdir()
    damaged.write_text("{")
    snapshot = look_at_corpus(config)
    assert snapshot.table is not None
    assert snapshot.table.version == run.corpus_version == "0"


def test_a_renamed_column_is_read_by_spark_under_its_stored_name(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    lake_tables.rename_column(path, "text", "renamed")
    [group] = plan_reading(look(path), ["doc_id", "renamed"]).groups
    assert [column and (column.name, column.by_spark) for column in group.columns] == [("doc_id", True), ("text", True)]


def test_a_column_that_a_table_does_not_have_is_named(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1)
    with pytest.raises(ConfigError, match="corpus column nope: the table does not have it"):
        plan_reading(look(path), ["doc_id", "nope"])


def test_nested_columns_are_read_where_their_fields_kept_their_names(tmp_path: Path) -> None:
    nested = pa.array([[{"a": "x", "n": 1}], None])
    for inside in ("", "re "):
        path = str(tmp_path / f"t{inside}")
        write_deltalake(path, lake_tables.rows(1, 2).append_column("items", nested))
        lake_tables.rename_column(path, "items", "renamed", inside)
        if inside:
            with pytest.raises(ConfigError, match=r"renamed fields are not read \(column mapping\)"):
                read(path)
        else:
            assert read(path) == by_deltalake(path)


@pytest.mark.slow
def test_a_delta_table_of_ten_thousand_files_is_read_whole(tmp_path: Path) -> None:
    numbers = range(10_000)
    data = lake_tables.rows(*numbers).append_column("part", pa.array(numbers))
    path = str(tmp_path / "t")
    write_deltalake(path, data, partition_by=["part"])
    DeltaTable(path).delete("part < 10")
    snapshot = look(path)
    assert (len(snapshot.files), sum(snapshot.rows)) == (9_990, 9_990)
    assert read(path) == by_deltalake(path)


def test_the_gate_s_gold_and_its_texts_may_be_tables(tmp_path: Path) -> None:
    texts = lake_tables.delta(tmp_path / "texts", 1, 2)
    DeltaTable(texts).delete("doc_id = '2'")
    answers = {"doc_id": ["1", "2"], "entity_type": ["person"] * 2, "entities": [["Ada"], ["Ada"]]}
    gold = lake_tables.catalog(tmp_path).create_table("ns.gold", schema=pa.table(answers).schema)
    gold.append(pa.table(answers))
    given = {"corpus.path": "-", "output.path": "-", "types": "person", "gate.min_f1": 0.1}
    folder = gold.location().removeprefix("file://")
    Path(folder, "metadata/version-hint.text").write_text(gold.metadata_location.rsplit("/", 1)[1])
    config = load_config(None, [], given | {"gate.gold": folder, "gate.corpus": texts})
    found = read_gold_slice(config)
    assert found is not None
    assert source_format(gold.metadata_location) is None, "no gold in JSON"
    assert dict(found.texts) == {"1": "Ada met Babbage in 1."}, "a deleted row is not there"
    assert {key: dict(cells) for key, cells in found.answers.items()} == {key: {"person": ["Ada"]} for key in "12"}
