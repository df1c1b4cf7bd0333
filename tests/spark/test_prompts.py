"""Stage 1: what is read, how passages are packed, and that order and layout of the corpus do not matter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import WORDS, write_corpus
from tests.support.invariants import check_prompts
from uniner_dist.core.hashing import passage_id
from uniner_dist.errors import StageError
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.storage.shards import read_prompts, read_shards

pytestmark = pytest.mark.spark


def _documents(count: int) -> list[dict[str, object]]:
    generator = random.Random(7)
    return [
        {"doc_id": f"d{i:04d}", "text": f"{i % 90} " + WORDS[: generator.randint(20, 90)], "domain": f"00{i % 3}"}
        for i in range(count)
    ]


def test_same_corpus_in_any_order_and_layout_gives_the_same_shards(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    rows = _documents(400)
    shuffled = random.Random(3).sample(rows, len(rows))
    first = make_run(write_corpus(tmp_path / "one", rows, ["domain"]), **{"prompts.shard_tokens": 800})
    second = make_run(
        write_corpus(tmp_path / "two", shuffled), **{"prompts.shard_tokens": 800, "corpus.keep_columns": "domain"}
    )
    summary = write_prompts(spark, first)
    write_prompts(spark, second)
    shards = check_prompts(first)
    assert list(shards.values()) == list(check_prompts(second).values())
    assert _without_attempt(shards) == _without_attempt(check_prompts(second))
    manifests = [read_shards(run.layout).drop_columns("shard") for run in (first, second)]
    assert manifests[0].equals(manifests[1])
    assert {passage for ids in shards.values() for passage in ids} == {passage_id(str(row["text"])) for row in rows}
    assert summary.unique_passages < summary.passages == summary.documents == 400
    tokens = read_shards(first.layout)["estimated_tokens"].to_pylist()
    assert max(tokens) < 1.3 * sum(tokens) / len(tokens)
    assert len(tokens) > 10


def _without_attempt(shards: Iterable[str]) -> list[str]:
    """Names of shards without who wrote them."""
    return [name.rsplit("-", 2)[0] for name in shards]


def test_partition_values_ids_and_carried_columns_keep_their_types(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    rows = [{"key": i, "body": f"text {i}", "when": 2020 + i, "region": f"00{i}"} for i in range(3)]
    corpus = write_corpus(tmp_path / "corpus", rows, ["region"], key=pa.int32())
    run = make_run(corpus, **{"corpus.id_column": "key", "corpus.text_column": "body", "corpus.keep_columns": "when"})
    write_prompts(spark, run)
    table = pads.dataset(run.layout.occurrences, format="parquet").to_table()
    kind = table.schema.field("document").type
    assert [(f.name, f.type) for f in kind] == [("key", pa.int32()), ("region", pa.string()), ("when", pa.int64())]
    assert {row["document"]["region"] for row in table.to_pylist()} == {"000", "001", "002"}


@pytest.mark.parametrize("path", ["domain=001", "domain=001/{file}", "domain=00[12]", "*/*.parquet"])
def test_one_partition_file_or_glob_keeps_the_partition_column(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run], path: str
) -> None:
    folder = Path(write_corpus(tmp_path / "corpus", _documents(30), ["domain"]))
    file = next((folder / "domain=001").iterdir()).name
    run = make_run(str(folder / path.replace("{file}", file)))
    summary = write_prompts(spark, run)
    rows = pads.dataset(run.layout.occurrences, format="parquet").to_table().to_pylist()
    found = {row["document"]["domain"] for row in rows}
    expected = {"domain=00[12]": {"001", "002"}, "*/*.parquet": {"000", "001", "002"}}.get(path, {"001"})
    assert found == expected
    assert summary.documents == 10 * len(expected)


def test_two_labels_with_one_question_are_asked_once(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    run = make_run(write_corpus(tmp_path / "corpus", _documents(5)), types="PER=person,place,PERSON=person")
    assert write_prompts(spark, run).prompts == 10
    [shard] = read_shards(run.layout)["shard"].to_pylist()[:1]
    assert set(read_prompts(run.layout, shard)["entity_type"].to_pylist()) == {"person", "place"}


def test_texts_are_stored_once_per_shard_however_many_types_are_asked(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    generator = random.Random(1)
    rows = [{"doc_id": i, "text": "".join(generator.choices("abcdefghij ", k=250))} for i in range(200)]
    corpus = write_corpus(tmp_path / "corpus", rows)
    types = ",".join(f"type{i}" for i in range(12))
    run = make_run(corpus, types=types, **{"prompts.min_shards": 1})
    write_prompts(spark, run)
    [file] = Path(run.layout.prompts).rglob("*.parquet")
    assert file.stat().st_size < 1.2 * 200 * 250


def test_a_passage_of_most_documents_is_written_once_and_shuffled_rarely(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uniner_dist.prompts.stage._MANY_PASSAGES", 1)
    rows = [{"doc_id": i, "text": "the same notice" if i % 4 else f"text {i}"} for i in range(400)]
    run = make_run(write_corpus(tmp_path / "corpus", rows))
    summary = write_prompts(spark, run)
    assert (summary.passages, summary.unique_passages) == (400, 101)
    assert {passage for ids in check_prompts(run).values() for passage in ids} == {
        passage_id(str(row["text"])) for row in rows
    }


def test_a_finished_stage_gives_its_summary_and_a_half_done_one_restarts(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    run = make_run(write_corpus(tmp_path / "corpus", _documents(20)))
    summary = write_prompts(spark, run)
    stray = Path(run.layout.prompts) / "shard=99999-0000"
    stray.mkdir()
    assert write_prompts(spark, run) == summary
    assert stray.exists()
    Path(run.layout.shards).unlink()
    assert write_prompts(spark, run) == summary
    assert not stray.exists()


@pytest.mark.parametrize("rows", [0, 3])
def test_corpus_without_a_usable_row_gives_no_shards(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run], rows: int
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    table = pa.table({"doc_id": pa.array([1] * rows, pa.int64()), "text": pa.array([" "] * rows, pa.string())})
    pq.write_table(table, folder / "a.parquet")
    run = make_run(str(folder))
    summary = write_prompts(spark, run)
    assert (summary.rows, summary.documents, summary.shards) == (rows, 0, 0)
    assert summary.rejects == ({"blank_text": rows} if rows else {})
    assert read_shards(run.layout).num_rows == 0
    summary.model_dump_json()


def test_corrupt_file_in_the_middle_is_named_in_one_message(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    folder = tmp_path / "corpus"
    for name in "abc":
        write_corpus(folder / name, _documents(50))
    broken = folder / "b" / "part-0.parquet"
    data = broken.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    broken.write_bytes(data[:4] + bytes(len(data) - footer - 4) + data[-footer:])
    run = make_run(str(folder))
    with pytest.raises(StageError) as caught:
        write_prompts(spark, run)
    if not spark.version.startswith("3."):  # Spark 3.5 does not say which file it was
        assert "b/part-0.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_settings_of_a_shared_session_stay_as_they_were(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        write_prompts(spark, make_run(write_corpus(tmp_path / "corpus", _documents(5))))
        assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
