"""Snapshots: files by footers, good and bad, and what of them is kept with a run."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest

from uniner_dist.errors import ConfigError
from uniner_dist.storage import footers
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.footers import Trait
from uniner_dist.storage.listing import list_corpus
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import from_pinned, take_snapshot, to_pinned

TABLE = pa.table({"id": [1, 2], "text": ["a", "b"]})


def corpus(folder: Path, **tables: pa.Table) -> str:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return str(folder)


def test_files_that_are_no_parquet_are_named_with_what_they_are(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", good=TABLE)
    good = (tmp_path / "c/good.parquet").read_bytes()
    (tmp_path / "c/empty.parquet").write_bytes(b"")
    (tmp_path / "c/text.parquet").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "c/cut.parquet").write_bytes(good[:-20])
    (tmp_path / "c/secret.parquet").write_bytes(good[:-4] + b"PARE")
    (tmp_path / "c/mad.parquet").write_bytes(good[:-40] + b"\xff" * 32 + good[-8:])
    with pytest.raises(ConfigError) as caught:
        take_snapshot(path)
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    for name, words in {
        "empty": "is empty (0 bytes)",
        "text": "is not a readable Parquet file: it does not end like one",
        "cut": "is not a readable Parquet file: it does not end like one",
        "secret": "is encrypted",
        "mad": "is not a readable Parquet file",
    }.items():
        assert f"{name}.parquet: {words}" in said


@pytest.mark.parametrize(("plain", "words"), [(False, "is encrypted"), (True, "has encrypted columns")])
def test_a_file_with_encrypted_columns_is_refused_in_words(tmp_path: Path, plain: bool, words: str) -> None:
    factory = encryption.CryptoFactory(lambda connection: _Keys())
    wanted = encryption.EncryptionConfiguration("footer", column_keys={"key": ["text"]}, plaintext_footer=plain)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), wanted)
    path = corpus(tmp_path / "c", good=TABLE)
    with pq.ParquetWriter(f"{path}/secret.parquet", TABLE.schema, encryption_properties=properties) as writer:
        writer.write_table(TABLE)
    with pytest.raises(ConfigError, match=rf"secret\.parquet: {words}"):
        take_snapshot(path, ["text"])


#: Keys that are not wrapped at all.
_Keys = type(
    "_Keys",
    (encryption.KmsClient,),
    {
        "wrap_key": lambda self, key, master: key.hex().encode(),
        "unwrap_key": lambda self, wrapped, master: bytes.fromhex(wrapped.decode()),
    },
)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", good=TABLE)
    (tmp_path / "c/gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"gone\.parquet: is a link to nothing"):
        take_snapshot(path)


def test_the_files_behind_a_linked_folder_are_in_the_digest(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", a=TABLE)
    corpus(tmp_path / "elsewhere", b=TABLE)
    (tmp_path / "c/more").symlink_to(tmp_path / "elsewhere")
    before = take_snapshot(path)
    assert (len(before.files), before.plain) == (2, False)
    corpus(tmp_path / "elsewhere", b=pa.concat_tables([TABLE, TABLE]))
    assert take_snapshot(path).digest != before.digest


def test_a_footer_longer_than_the_first_look_is_read_whole(tmp_path: Path) -> None:
    wide = pa.table({f"column {i:05d}": [i] for i in range(1500)} | {"id": [1], "text": ["a"]})
    path = corpus(tmp_path / "c", wide=wide)
    assert (tmp_path / "c/wide.parquet").stat().st_size > footers._TAIL_BYTES
    assert plan_reading(take_snapshot(path), ["id", "text"]).rows == 1


def test_schemas_that_differ_in_metadata_alone_are_one(tmp_path: Path) -> None:
    tables = {f"t{i}": TABLE.replace_schema_metadata({"number": str(i)}) for i in range(20)}
    snapshot = take_snapshot(corpus(tmp_path / "c", **tables, other=TABLE.select(["text", "id"])))
    assert len(snapshot.schemas) == 2
    assert sum(snapshot.rows) == 42


def test_a_column_of_a_type_that_pyarrow_lacks_harms_no_other(tmp_path: Path) -> None:
    """Its writer noted an Arrow type that the reader does not know, as polars does for 128-bit integers."""
    file, texts = tmp_path / "c.parquet", ["the key ARROW:schema", "b"]
    table = pa.table({"id": [1, 2], "text": texts, "big": pa.array([b"0" * 16] * 2, pa.binary(16))})
    pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=False)

    stored = pq.read_metadata(file).metadata[b"ARROW:schema"]
    broken = base64.b64encode(b"\xff\xff\xff\xff" + b"\x09" * (len(base64.b64decode(stored)) - 4))
    data = file.read_bytes()
    assert data.count(stored) == 1
    file.write_bytes(data.replace(stored, broken.ljust(len(stored))[: len(stored)]))
    snapshot = take_snapshot(str(file), ["id", "text"])
    assert [schema.opaque for schema in snapshot.schemas] == [True]
    reading = plan_reading(snapshot, ["id", "text"])
    assert [str(field.type) for field in reading.columns] == ["int64", "string"]
    assert [text for batch in rows_of(snapshot, ["text"]) for text in batch.column(0).to_pylist()] == texts


def test_a_checksum_of_hadoops_is_stale_only_when_it_is(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", right=TABLE, longer=TABLE, other=TABLE, none=TABLE)
    data = (tmp_path / "c/right.parquet").read_bytes()
    step = 512

    def checksum(of: bytes) -> bytes:
        pieces = [of[start : start + step] for start in range(0, len(of), step)]
        return b"crc\0" + struct.pack(">I", step) + b"".join(struct.pack(">I", zlib.crc32(piece)) for piece in pieces)

    (tmp_path / "c/.right.parquet.crc").write_bytes(checksum(data))
    (tmp_path / "c/.longer.parquet.crc").write_bytes(checksum(data + b"x" * step))
    (tmp_path / "c/.other.parquet.crc").write_bytes(checksum(data[::-1]))
    snapshot = take_snapshot(path)
    traits = {Path(file).stem: trait for file, trait in zip(snapshot.files, snapshot.traits, strict=True)}
    stale = {"longer": Trait.CHECKSUM, "other": Trait.CHECKSUM}
    assert traits == {"right": Trait.NONE, "none": Trait.NONE, **stale}


def test_what_is_pinned_comes_back_as_it_was(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", a=TABLE, b=TABLE.select(["text"]))
    pq.write_table(TABLE, tmp_path / "c/c.parquet", compression="brotli")
    snapshot = take_snapshot(path)
    pinned = to_pinned(snapshot, ["text", "id"])
    again = from_pinned(type(pinned).model_validate_json(pinned.model_dump_json()))
    assert (again.rows, again.schema_of, again.traits) == (snapshot.rows, snapshot.schema_of, snapshot.traits)
    assert all(one.same(other) for one, other in zip(again.schemas, snapshot.schemas, strict=True))


def test_a_file_without_rows_decides_nothing(tmp_path: Path) -> None:
    empty = pa.table({"id": pa.nulls(0), "text": pa.array([], pa.float64())})
    reading = plan_reading(take_snapshot(corpus(tmp_path / "c", a_first=empty, b=TABLE)), ["id", "text"])
    assert [str(field.type) for field in reading.columns] == ["int64", "string"]
    assert [Path(file).stem for group in reading.groups for file in group.files] == ["b"]
    alone = plan_reading(take_snapshot(corpus(tmp_path / "alone", a=TABLE.slice(0, 0))), ["id", "text"])
    assert (alone.rows, len(alone.groups)) == (0, 1)


def test_a_folder_of_one_kind_is_given_to_spark_as_a_folder(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", a=TABLE, b=TABLE)
    assert plan_reading(take_snapshot(path), ["id"]).whole_folder
    assert not plan_reading(take_snapshot(f"{path}/*.parquet"), ["id"]).whole_folder
    corpus(tmp_path / "c", c=TABLE.set_column(0, "id", pa.array([1, 2], pa.int8())))
    assert not plan_reading(take_snapshot(path), ["id"]).whole_folder
    assert plan_reading(take_snapshot(path), ["text"]).whole_folder


def test_files_are_spelled_for_sparks_connector_with_their_host() -> None:
    from uniner_dist.spark.datasets import spelled_alike

    for spelled, stripped, file, right in (
        ("s3a://b/c", "b/c", "b/c/x", "s3a://b/c/x"),
        ("hdfs://h:8020/c/*", "/c/*", "/c/d/x", "hdfs://h:8020/c/d/x"),
        ("abfss://c@a.dfs.core.windows.net/k", "c/k", "c/k/x", "abfss://c@a.dfs.core.windows.net/k/x"),
        ("/c", "/c", "/c/x", "/c/x"),
    ):
        assert spelled_alike(spelled, stripped, file) == right


def test_uuids_and_intervals_without_arrows_types_are_no_bytes(tmp_path: Path) -> None:
    sql = "SELECT 'a' AS id, [uuid()] AS who, INTERVAL 3 DAY AS long, encode('x') AS raw"
    duckdb.sql(f"COPY ({sql}) TO '{tmp_path}/c.parquet' (FORMAT parquet)")
    snapshot = take_snapshot(str(tmp_path))
    for name, word in (("who", "UUIDs are a type"), ("long", "month_day_nano_interval is a type")):
        with pytest.raises(ConfigError, match=f"column {name}: {word} that Spark does not read"):
            plan_reading(snapshot, ["id", name])
    assert plan_reading(snapshot, ["id", "raw"]).type_of("raw") == pa.binary()


def test_a_name_that_a_file_has_twice_is_refused_if_it_is_asked_for(tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "x", "x"]), tmp_path / "c.parquet")
    snapshot = take_snapshot(str(tmp_path), ["id", "x"])
    with pytest.raises(ConfigError, match=r"column x: several columns of a file have this name.*c\.parquet") as caught:
        plan_reading(snapshot, ["id", "x"])
    assert len(caught.value.problems) == 1
    assert plan_reading(snapshot, ["id"]).rows == 1


def test_patterns_may_have_alternatives_and_any_depth(tmp_path: Path) -> None:
    for name in ("a/1.parquet", "b/2.parquet", "b/deep/3.parquet", "c/4.parquet", "_b/5.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(TABLE, tmp_path / name)
    for pattern, wanted in {
        "{a,c}/*.parquet": "14",
        "{a,{b,c}}": "1234",
        "{a,b}/**/*.parquet": "123",
        "?/{1,3,5}.parquet": "1",
        "**/{2,5}.parquet": "2",
    }.items():
        assert "".join(Path(file).stem for file in list_corpus(f"{tmp_path}/{pattern}").files) == wanted, pattern
    with pytest.raises(ConfigError, match=r"\*\* is for whole folders"):
        list_corpus(f"{tmp_path}/**.parquet")


def test_a_name_that_means_two_columns_is_refused_naming_both(tmp_path: Path) -> None:
    path = corpus(tmp_path / "c", a=pa.table({"id": [1], "Text": ["a"], "text": ["b"]}))
    assert plan_reading(take_snapshot(path), ["id", "Text", "text"]).rows == 1
    with pytest.raises(ConfigError, match=r"TEXT: Text and text differ from it in case alone.*a\.parquet"):
        plan_reading(take_snapshot(path), ["id", "TEXT"])
