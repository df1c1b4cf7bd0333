"""The marker of an output is a Parquet file without rows; one of an earlier release is read, and stored anew."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from tests.support.published import marker_of, published, write_marker
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.storage.control_files import Marker, write_control
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.marker import MarkerVersion, read_marker, read_marker_version, swap_marker
from uniner_dist.storage.marker_file import placeholder_path
from uniner_dist.storage.place_layout import OutputLayout

COLUMNS = pa.schema(
    [
        ("doc_id", pa.decimal128(20, 0)),
        ("at", pa.timestamp("us", "UTC")),
        ("entities", pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32())]))),
    ]
)


def _marker(*folders: str) -> Marker:
    return marker_of(a=published()).model_copy(update={"partition_by": folders})


def _put(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([{"doc_id": i} for i in range(rows)], schema=COLUMNS), path)


@pytest.mark.parametrize("folders", [(), ("day",), ("day", "place of origin=x")])
def test_a_marker_is_read_back_with_its_columns(tmp_path: Path, folders: tuple[str, ...]) -> None:
    output, marker = str(tmp_path / "out"), _marker(*folders)
    first = swap_marker(output, MarkerVersion(marker), marker, COLUMNS)
    second = swap_marker(output, first, marker.model_copy(update={"placeholder": "part-x-empty.parquet"}), COLUMNS)
    assert read_marker_version(output) == second
    assert second.columns == COLUMNS
    assert second.marker.nonce != first.marker.nonce
    with pytest.raises(StageError, match="changed by another process"):
        swap_marker(output, first, marker, COLUMNS)


def test_the_marker_of_an_earlier_release_is_stored_anew(tmp_path: Path) -> None:
    output, earlier = str(tmp_path), tmp_path / ".uniner_dist.json"
    write_control(str(earlier), _marker("day"))
    before = read_marker_version(output)
    assert before is not None
    assert (before.marker, before.columns) == (_marker("day"), None)
    after = swap_marker(output, before, before.marker, COLUMNS)
    assert not earlier.exists()
    assert read_marker(output) == after.marker
    write_control(str(earlier), _marker("day"))  # as a process leaves it that is killed in between
    assert read_marker(output) == after.marker
    swap_marker(output, after, after.marker, COLUMNS)
    assert not earlier.exists()


def test_two_processes_do_not_both_store_an_earlier_marker_anew(tmp_path: Path) -> None:
    output = str(tmp_path)
    write_control(str(tmp_path / ".uniner_dist.json"), _marker("day"))
    before = read_marker_version(output)
    assert before is not None
    swap_marker(output, before, before.marker, COLUMNS)
    with pytest.raises(StageError, match="changed by another process"):
        swap_marker(output, before, before.marker, COLUMNS)


@pytest.mark.parametrize("where", [".uniner_dist", ".uniner_dist/day=__HIVE_DEFAULT_PARTITION__"])
def test_a_marker_is_not_written_through_a_link(tmp_path: Path, where: str) -> None:
    output, theirs = tmp_path / "out", tmp_path / "theirs"
    theirs.mkdir()
    (output / where).parent.mkdir(parents=True)
    (output / where).symlink_to(theirs)
    with pytest.raises(ConfigError, match="lies outside of"):
        swap_marker(str(output), MarkerVersion(_marker("day")), _marker("day"), COLUMNS)
    assert not list(theirs.iterdir())


def test_a_marker_of_other_folders_is_refused(tmp_path: Path) -> None:
    write_marker(str(tmp_path), _marker("day"))
    place = tmp_path / ".uniner_dist"
    (place / "day=__HIVE_DEFAULT_PARTITION__").rename(place / "month=__HIVE_DEFAULT_PARTITION__")
    with pytest.raises(ConfigError, match="with other folders"):
        read_marker(str(tmp_path))
    (place / "thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"holds what is not ours \(month"):
        read_marker(str(tmp_path))


def test_a_file_without_a_marker_in_it_is_refused(tmp_path: Path) -> None:
    write_bytes(OutputLayout(str(tmp_path)).flat_marker, b"PAR1")
    with pytest.raises(ConfigError, match="damaged or not ours"):
        read_marker(str(tmp_path))
    _put(tmp_path / ".uniner_dist.parquet", rows=1)
    with pytest.raises(ConfigError, match="damaged or not ours"):
        read_marker(str(tmp_path))


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("folders", [(), ("day",), ("day", "entity_type")])
def test_every_reader_takes_the_bare_folder(tmp_path: Path, folders: tuple[str, ...], rows: int) -> None:
    write_marker(str(tmp_path), _marker(*folders), COLUMNS)
    if rows:
        for day in ("0501", "x"):
            _put(tmp_path.joinpath(*[f"{folder}={day}" for folder in folders]) / f"part-{day}.parquet", rows)
    else:
        _put(tmp_path / placeholder_path(folders, "part-a-empty.parquet"), 0)
    names, found = [*COLUMNS.names, *folders], 2 * rows
    by_polars = polars.scan_parquet(tmp_path).collect()
    assert (by_polars.columns, by_polars.height) == (names, found)
    by_arrow = pads.dataset(tmp_path, format="parquet", partitioning="hive").to_table()
    assert (by_arrow.column_names, by_arrow.num_rows) == (names, found)
    by_duckdb = duckdb.sql(f"SELECT * FROM '{tmp_path}/**/*.parquet'")
    assert (sorted(by_duckdb.columns), len(by_duckdb.fetchall())) == (sorted(names), found)
    if folders and rows:
        assert sorted(by_polars["day"].unique()) == ["0501", "x"]
