"""Corpora nobody wrote are read as pyarrow and DuckDB read them; `make corpora` has Spark read such, too."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import parquet_referees as referees
from tests.support.parquet_corpora import write_corpus
from uniner_dist.errors import ConfigError
from uniner_dist.storage.column_facts import ColumnFacts, column_facts
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.reading import plan_reading
from uniner_dist.storage.snapshot import take_snapshot


@pytest.mark.parametrize("seed", range(8))
def test_a_random_corpus_is_read_as_pyarrow_and_duckdb_read_it(tmp_path: Path, seed: int) -> None:
    corpus = write_corpus(tmp_path / "corpus", seed)
    expected = referees.rows_by_pyarrow(corpus)
    assert referees.rows_by_duckdb(corpus) == expected
    snapshot = take_snapshot(corpus.path)
    batches = list(rows_of(snapshot, corpus.names))
    found = pa.Table.from_batches(batches) if batches else pa.table({name: pa.nulls(0) for name in corpus.names})
    assert referees.rows_of(found) == expected
    assert referees.folders_of(found, corpus) == referees.folders_by_duckdb(corpus)
    assert sum(snapshot.rows) == len(expected)


def _write(path: Path, values: pa.Array, **options: object) -> str:
    pq.write_table(pa.table({"id": pa.array(range(len(values))), "a.b": values}), path, **options)
    return str(path)


@pytest.mark.parametrize("statistics", [True, False])
def test_a_column_of_nulls_is_known_with_and_without_statistics(tmp_path: Path, statistics: bool) -> None:
    arrays = [pa.nulls(3, pa.int64()), pa.array([None, -7, 3]), pa.array([None, "x"]), pa.array([2**40], pa.int64())]
    files = [_write(tmp_path / f"{i}.parquet", it, write_statistics=statistics) for i, it in enumerate(arrays)]
    assert column_facts(str(tmp_path), files, "A.B") == [
        ColumnFacts(True, None),
        ColumnFacts(False, 7),
        ColumnFacts(False, None),
        ColumnFacts(False, 2**40),
    ]


def test_empty_lists_and_structs_of_nulls_are_values(tmp_path: Path) -> None:
    lists, structs = pa.array([[], []], pa.list_(pa.int8())), pa.array([{"x": None}], pa.struct([("x", pa.int8())]))
    for number, values in enumerate((lists, structs)):
        corpus = tmp_path / str(number)
        corpus.mkdir()
        _write(corpus / "a.parquet", values)
        _write(corpus / "b.parquet", pa.array(["text"]))
        with pytest.raises(ConfigError, match=r"a\.parquet and string in .*b\.parquet"):
            plan_reading(take_snapshot(str(corpus)), ["a.b"])


def test_a_column_that_only_files_without_rows_have_is_null(tmp_path: Path) -> None:
    _write(tmp_path / "a.parquet", pa.array([], pa.int64()))
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "b.parquet")
    reading = plan_reading(take_snapshot(str(tmp_path)), ["a.b"])
    assert (reading.rows, reading.type_of("a.b")) == (2, pa.string())
    assert "is null in files that do not have it" in reading.notes[0]
