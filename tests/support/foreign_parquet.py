"""Parquet files of kinds that no writer at hand makes: one that pyarrow wrote, with a byte of its footer changed.

The footer is Thrift's compact protocol; what is replaced is as long as what comes instead.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_VALUES = ["Ada", "Zoë"] * 50


def write_old_lz4(path: Path) -> list[str]:
    """A file in the codec LZ4 (5), whose pages are those of LZ4_RAW (7), as early writers made them."""
    _write(path, "lz4")
    return _replace(path, b"\x01n\x15\x0e", b"\x01n\x15\x0a")


def write_unknown_logical_type(path: Path) -> list[str]:
    """A file with a column whose logical type, number 9 of the union, no reader knows; it stores strings."""
    _write(path, "snappy")
    return _replace(path, b"\x01o\x25\x00\x4c\x1c", b"\x01o\x25\x00\x4c\x9c")


def _write(path: Path, codec: str) -> None:
    pq.write_table(pa.table({"n": _VALUES, "o": _VALUES}), path, compression=codec, store_schema=False)


def _replace(path: Path, old: bytes, new: bytes) -> list[str]:
    data = path.read_bytes()
    assert data.count(old) == 1, "the writer's footer is not as it was"
    path.write_bytes(data.replace(old, new))
    return _VALUES
