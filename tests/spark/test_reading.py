"""A corpus whose files differ is read right by both readers: Spark itself, and its tasks through pyarrow."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from uniner_dist.errors import ConfigError, UninerError
from uniner_dist.run.run import Run
from uniner_dist.spark import datasets, planned
from uniner_dist.spark.stage import stage
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot

pytestmark = pytest.mark.spark

WHEN = dt.datetime(2024, 2, 29, 12, 30, 1, 250_000)
DAY = dt.date(1969, 7, 20)
UTC = dt.UTC

#: Columns, each as stored in three files: arrays of one or two values.
COLUMNS: dict[str, tuple[pa.Array, pa.Array, pa.Array]] = {
    "small_then_large": (pa.array([1], pa.int8()), pa.array([70000], pa.int32()), pa.array([2**40], pa.int64())),
    "large_then_small": (pa.array([2**40], pa.int64()), pa.array([-300], pa.int16()), pa.array([7], pa.int32())),
    "signed_then_unsigned": (pa.array([-1], pa.int64()), pa.array([2**63 + 7], pa.uint64()), pa.array([3], pa.uint8())),
    "unsigned": (pa.array([255], pa.uint8()), pa.array([65535], pa.uint16()), pa.array([2**32 - 1], pa.uint32())),
    "integer_then_decimal": (
        pa.array([2**62], pa.int64()),
        pa.array([Decimal("3.00")], pa.decimal128(18, 2)),
        pa.array([Decimal("0.125")], pa.decimal128(5, 3)),
    ),
    "integer_then_float": (pa.array([16_777_217], pa.int32()), pa.array([0.1], pa.float32()), pa.array([1e300])),
    "year_with_gaps": (pa.array([2**53], pa.int64()), pa.array([None, 1999.5]), pa.array([3], pa.int8())),
    "half": (pa.array([1.5], pa.float16()), pa.array([0.1], pa.float32()), pa.nulls(1)),
    "null_then_text": (pa.nulls(1), pa.array(["ä"]), pa.array(["b"], pa.large_string())),
    "only_nulls": (pa.nulls(1), pa.array([None], pa.null()), pa.nulls(2)),
    "null_floats_then_text": (pa.array([None], pa.float64()), pa.array(["en"]), pa.array(["de"]).dictionary_encode()),
    "view": (pa.array(["a"], pa.string_view()), pa.array(["b"]), pa.array(["c"], pa.json_())),
    "day_then_time": (pa.array([DAY]), pa.array([WHEN], pa.timestamp("ms")), pa.array([WHEN], pa.timestamp("us"))),
    "nanoseconds": (pa.array([WHEN], pa.timestamp("ns")), pa.array([WHEN], pa.timestamp("us")), pa.nulls(1)),
    "zones": (
        pa.array([WHEN.replace(tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")),
        pa.array([WHEN.replace(tzinfo=UTC)], pa.timestamp("ns", "UTC")),
        pa.array([WHEN.replace(tzinfo=UTC)], pa.timestamp("ms", "+02:00")),
    ),
    "bytes": (pa.array([b"\xff\x00"]), pa.array([b"ab"], pa.binary(2)), pa.array([b""], pa.binary_view())),
    "truth": (pa.array([True]), pa.array([None], pa.bool_()), pa.array([False])),
    "truth_in_bytes": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())),
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0], pa.int8())),
        pa.array([True]),
    ),
    "lists": (
        pa.array([[1, None]], pa.list_(pa.int8())),
        pa.array([[]], pa.list_(pa.null())),
        pa.array([[2**40]], pa.large_list(pa.int64())),
    ),
    "structs": (
        pa.array([{"a": 1}], pa.struct([("a", pa.uint32())])),
        pa.array([{"b": "x", "a": 2}], pa.struct([("b", pa.string()), ("a", pa.int64())])),
        pa.nulls(1),
    ),
    "maps": (
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
        pa.array([[("k", 2**40)]], pa.map_(pa.string(), pa.int64())),
        pa.array([None], pa.map_(pa.string(), pa.int64())),
    ),
    "missing_in_one": (pa.array([1]), pa.array([2]), pa.array([3])),
    "Cased": (pa.array([1]), pa.array([2]), pa.array([3])),
    "a.b `c`": (pa.array([1]), pa.array([2]), pa.array([3])),
    "file": (pa.array([1]), pa.array([2]), pa.array([3])),
    "_metadata": (pa.array([1]), pa.array([2]), pa.array([3])),
}


@pytest.fixture(params=["by Spark", "by tasks"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by tasks":
        for module in (datasets, planned):
            monkeypatch.setattr(module, "connector_path", lambda spark, path: None)
    return str(request.param)


def read(spark: SparkSession, corpus: Path | str, names: list[str], tmp_path: Path, **options: bool) -> pa.Table:
    """Columns of a corpus, written by Spark and read by pyarrow."""
    with stage(spark, "test"):
        snapshot = take_snapshot(str(corpus), names)
        rows = planned.read_planned(spark, snapshot, plan_reading(snapshot, names, **options), names)
        target = tmp_path / "read"
        rows.write.mode("overwrite").parquet(str(target))
    table = pq.read_table(target).sort_by("c0")
    assert table.num_rows == sum(snapshot.rows)
    assert len(set(zip(table["file"].to_pylist(), table["row"].to_pylist(), strict=True))) == table.num_rows
    return table.select([f"c{i}" for i in range(len(names))]).rename_columns(names)


def padded(values: pa.Array) -> pa.Array:
    return values if len(values) == 2 else pa.concat_arrays([values, pa.nulls(1, values.type)])


def plain(value: Any) -> Any:
    """Values that mean the same, in one form."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_all_files_are_read_in_the_type_that_holds_all_of_them(
    spark: SparkSession, tmp_path: Path, reader: str
) -> None:
    corpus, expected = tmp_path / "corpus", {}
    corpus.mkdir()
    for number, name in enumerate("abc"):
        columns = {column: padded(arrays[number]) for column, arrays in COLUMNS.items()}
        for column, values in columns.items():
            expected[name, column] = [plain(value) for value in values.to_pylist()]
        if number == 1:
            del columns["missing_in_one"]
            expected[name, "missing_in_one"] = [None, None]
        columns["CASED" if number == 2 else "Cased"] = columns.pop("Cased")
        table = pa.table({"id": [f"{name}0", f"{name}1"], **columns})
        pq.write_table(
            table, corpus / f"{name}.parquet", store_decimal_as_integer=number == 1, use_dictionary=number > 0
        )
    expected["a", "day_then_time"] = [dt.datetime.combine(DAY, dt.time()), None]
    found = read(spark, corpus, ["id", *COLUMNS], tmp_path)
    for column in COLUMNS:
        values = [plain(value) for value in found[column].to_pylist()]
        assert values == [value for name in "abc" for value in expected[name, column]], column
    types = {name: str(found.schema.field(name).type) for name in ("small_then_large", "signed_then_unsigned", "zones")}
    assert types == {
        "small_then_large": "int64",
        "signed_then_unsigned": "decimal128(20, 0)",
        "zones": "timestamp[us, tz=UTC]",
    }


def test_timestamps_stored_as_int96_are_instants(spark: SparkSession, tmp_path: Path, reader: str) -> None:
    (tmp_path / "corpus").mkdir()
    old = {"id": ["a"], "at": pa.array([WHEN])}
    pq.write_table(pa.table(old), tmp_path / "corpus/a.parquet", use_deprecated_int96_timestamps=True)
    new = {"id": ["b"], "at": pa.array([WHEN], pa.timestamp("us", "UTC"))}
    pq.write_table(pa.table(new), tmp_path / "corpus/b.parquet")
    assert read(spark, tmp_path / "corpus", ["id", "at"], tmp_path)["at"].to_pylist() == [WHEN.replace(tzinfo=UTC)] * 2


def test_bytes_are_text_when_asked(spark: SparkSession, tmp_path: Path, reader: str) -> None:
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"id": [b"a"], "text": ["Zoë".encode()]}), tmp_path / "corpus/a.parquet")
    pq.write_table(pa.table({"id": ["b"], "text": ["x"]}), tmp_path / "corpus/b.parquet")
    found = read(spark, tmp_path / "corpus", ["id", "text"], tmp_path, binary_text=True)
    assert found.to_pylist() == [{"id": "a", "text": "Zoë"}, {"id": "b", "text": "x"}]


def test_nanoseconds_that_would_be_cut_off_are_refused(spark: SparkSession, tmp_path: Path, reader: str) -> None:
    table = pa.table({"id": ["a"], "at": pa.array([1001], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UninerError, match=r"a\.parquet: column at has timestamps that are not whole microseconds"):
        read(spark, tmp_path / "a.parquet", ["id", "at"], tmp_path)


def rows_of(name: str) -> pa.Table:
    return pa.table({"id": [name], "text": [f"{name} text"], "x": [0.5]})


def odd_files(corpus: Path) -> None:
    """Good files that some reader or other stumbles over."""
    (corpus / "x/y").mkdir(parents=True)
    (corpus / "_hidden").mkdir()
    pq.write_table(rows_of("plain"), corpus / "plain.parquet")
    pq.write_table(rows_of("brotli"), corpus / "brotli.parquet", compression="brotli")
    pq.write_table(
        rows_of("split"), corpus / "split.parquet", use_dictionary=False, column_encoding={"x": "BYTE_STREAM_SPLIT"}
    )
    pq.write_table(rows_of("colon"), corpus / "2024-01-01T00:00:00.parquet")
    pq.write_table(rows_of("signs"), corpus / "a {b}[c]*?% #é.parquet")
    pq.write_table(rows_of("deep"), corpus / "x/y/deep.parq")
    pq.write_table(rows_of("upper"), corpus / "x/upper.PARQUET")
    pq.write_table(rows_of("unnamed"), corpus / "x/000000_0")
    pq.write_table(rows_of("stale"), corpus / "stale.parquet")
    (corpus / ".stale.parquet.crc").write_bytes(b"crc\0\0\0\2\0\0\0\0\0")
    pq.write_table(rows_of("hidden"), corpus / "_hidden/h.parquet")
    pq.write_table(pa.table({"id": pa.nulls(0), "text": pa.nulls(0)}), corpus / "0-empty.parquet")
    (corpus / "notes.txt").write_text("no part of it")
    elsewhere = corpus.parent / "elsewhere"
    elsewhere.mkdir()
    pq.write_table(rows_of("linked"), elsewhere / "l.parquet")
    (corpus / "more").symlink_to(elsewhere)
    (corpus / "x/back").symlink_to(corpus)  # a circle


def test_every_file_that_is_listed_is_read_and_no_other(spark: SparkSession, tmp_path: Path, reader: str) -> None:
    corpus = tmp_path / "corpus"
    odd_files(corpus)
    names = ["brotli", "colon", "deep", "linked", "plain", "signs", "split", "stale", "unnamed", "upper"]
    assert read(spark, corpus, ["id", "text", "x"], tmp_path)["id"].to_pylist() == names
    listing = take_snapshot(str(corpus)).listing
    assert [Path(name).name for name in listing.passed_over] == ["notes.txt"]
    for pattern, wanted in {
        "**/*.par*": "brotli colon deep linked plain signs split stale",
        "*/*": "deep linked unnamed upper",
        "x/**": "deep unnamed upper",
        "[a-p]*.parquet": "brotli plain signs",
    }.items():
        found = read(spark, f"{corpus}/{pattern}", ["id", "text"], tmp_path)
        assert found["id"].to_pylist() == wanted.split(), pattern


def test_rows_that_are_not_read_stop_the_stage(
    tmp_path: Path, make_run: Callable[..., Run], spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uniner_dist.prompts import stage as prompts

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("a", "b"):
        pq.write_table(pa.table({"doc_id": [name], "text": ["Ada."]}), corpus / f"{name}.parquet")
    run = make_run(str(corpus))
    genuine = planned.read_planned
    monkeypatch.setattr("uniner_dist.prompts.corpus.read_planned", lambda *args: genuine(*args).where("c0 <> 'a'"))
    with pytest.raises(UninerError, match="1 rows were read, and the footers of its 2 files count 2"):
        prompts.write_prompts(spark, run)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (pa.array([1]), pa.array(["1"]), "holds int64 in .*a.parquet and string in .*b.parquet"),
        (pa.array([DAY]), pa.array([1]), r"holds date32\[day\] in .* and int64 in"),
        (pa.array([2**53 + 1]), pa.array([0.5]), "holds int64 in .* and double in"),
        (pa.array([WHEN]), pa.array([WHEN], pa.timestamp("us", "UTC")), "holds timestamp"),
        (
            pa.array([Decimal("1.5")], pa.decimal128(38, 2)),
            pa.array([Decimal("1.5")], pa.decimal128(5, 4)),
            "decimal128",
        ),
        (pa.array([3600], pa.duration("s")), pa.array([1]), r"x: duration\[s\] is a type that Spark does not read"),
        (pa.array([b"0" * 16], pa.uuid()), pa.nulls(1), "x: UUIDs are a type that Spark does not read"),
        (pa.array([1], pa.time64("us")), pa.nulls(1), "time64"),
    ],
)
def test_types_that_nothing_holds_are_refused_naming_files(
    tmp_path: Path, first: pa.Array, second: pa.Array, words: str
) -> None:
    for name, values in (("a", first), ("b", second)):
        pq.write_table(pa.table({"id": [name], "x": values}), tmp_path / f"{name}.parquet")
    snapshot = take_snapshot(str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        plan_reading(snapshot, ["id", "x"])
    assert plan_reading(snapshot, ["id"]).rows == 2
    shutil.rmtree(tmp_path)
