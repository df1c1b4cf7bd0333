"""Erasure inside a run's occurrences, rejects and quarantine: which passages documents have, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.run.run import Run
from uniner_dist.schemas import name_in_quarantine, name_in_rejects
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.filesystem import (
    find_files,
    join,
    open_fs,
)
from uniner_dist.storage.parquet_rows import Positions, erase, find_rows

#: Files that are looked into at the same time.
READERS = 16

T = TypeVar("T")


def find_passages(run: Run, ids: pa.Array) -> frozenset[str]:
    """Return the ids of the documents' passages.

    Args:
        run: a run whose occurrences are read; one without any has none.
        ids: ids of documents, as strings.
    """
    column = ["document", run.config.corpus.id_column]

    def look(path: str) -> frozenset[str]:
        return _passage_ids(path, find_rows(path, column, ids)[1])

    return frozenset().union(*each_file(run.layout.occurrences, look))


def find_shared(run: Run, ids: pa.Array, passages: frozenset[str]) -> frozenset[str]:
    """Return those of some passages that occur in other documents of the run.

    Args:
        run: a run whose occurrences are read.
        ids: ids of the documents that are to be erased, as strings; all others count as other documents.
        passages: ids of passages.
    """
    column, wanted = ["document", run.config.corpus.id_column], pa.array(sorted(passages), pa.string())

    def look(path: str) -> frozenset[str]:
        everywhere, theirs = find_rows(path, ["passage_id"], wanted)[1], find_rows(path, column, ids)[1]
        return _passage_ids(path, np.setdiff1d(everywhere, theirs))

    return frozenset().union(*each_file(run.layout.occurrences, look)) if passages else frozenset()


def _passage_ids(path: str, rows: Positions) -> frozenset[str]:
    if not len(rows):
        return frozenset()
    fs, stripped = open_fs(path)
    with fs.open(stripped, "rb") as stream:
        ids = pq.ParquetFile(stream).read(columns=["passage_id"])["passage_id"]
    return frozenset(ids.take(pa.array(rows)).to_pylist())


def each_file(folder: str, look: Callable[[str], T]) -> list[T]:
    """Return the results of `look` for every Parquet file of a folder, in the order of the files' names.

    Args:
        folder: path or URL; the files of its subfolders count too. One that does not exist has no files.
        look: called with the path or URL of a file, by up to `READERS` threads at the same time.

    Raises:
        OutsideError: a file leads out of the folder, by a link.
    """
    try:
        files = sorted(find_files(folder, ".parquet"))
    except FileNotFoundError:
        return []
    for file in files:
        require_inside(join(folder, file), folder, folder)
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda file: look(join(folder, file)), files))


def erase_rows(run: Run, ids: pa.Array) -> int:
    """Erase the documents' rows of rejects and quarantine, where the id may have another column name.

    Args:
        run: a run whose rejects and quarantine are rewritten.
        ids: ids of documents, as strings.

    Returns:
        How many rows there were.
    """
    column = run.config.corpus.id_column
    quarantined = name_in_quarantine(column)
    rejected = erase_in_folder(run.layout.rejects, [name_in_rejects(column)], ids)
    return rejected + erase_in_folder(run.layout.quarantine, [quarantined], ids)


def erase_in_folder(folder: str, column: Sequence[str], ids: pa.Array) -> int:
    """Erase the rows of some documents from every file of a folder; a file without rows left stays, empty.

    Args:
        folder: path or URL of a folder of Parquet files; it need not exist.
        column: name of the id column, or the names of a struct and a field of it.
        ids: ids of documents, as strings.

    Returns:
        How many rows there were.
    """

    def take_out(path: str) -> int:
        rows = find_rows(path, column, ids)[1]
        if len(rows):
            erase(path, rows, keep_empty=True)
        return len(rows)

    return sum(each_file(folder, take_out))
