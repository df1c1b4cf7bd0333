"""Markers of outputs, as a publication writes them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from uniner_dist.storage.control_files import Marker, PublishedRun
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.marker_file import encode_marker
from uniner_dist.storage.place_layout import OutputLayout


def run_id(name: str) -> str:
    """An id of a run that begins with a letter or digit of one's own: `run_id("a")` is twelve times a."""
    return name * 12


def published(corpus: str = "/corpus", order: int = 1, *types: str, **more: Any) -> PublishedRun:
    """The entry of one run."""
    return PublishedRun(corpus=corpus, order=order, types=types or ("person",), **more)


def marker_of(id_column: str = "doc_id", **runs: PublishedRun) -> Marker:
    """A marker with some runs, by the first letter of their id."""
    return Marker(id_column=id_column, runs={run_id(name): entry for name, entry in runs.items()})


def write_marker(output: str, marker: Marker, columns: pa.Schema | None = None) -> None:
    """Let an output be a dataset of ours.

    Args:
        columns: of its files; default: the id column.
    """
    columns = pa.schema([(marker.id_column, pa.string())]) if columns is None else columns
    write_bytes(OutputLayout(output).marker(marker.partition_by), encode_marker(marker, columns))
