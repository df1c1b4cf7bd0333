"""Reading the files of an Iceberg table: by pyiceberg, through the file systems that this program uses everywhere.

Imported only where pyiceberg is installed. Both classes travel to Spark's tasks, with whatever a catalog lent them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.io.fsspec import FsspecInputFile, FsspecOutputFile
from pyiceberg.io.pyarrow import ArrowScan

from uniner_dist.storage.filesystem import is_local, open_fs


class CorpusIO(FileIO):
    """pyiceberg's access to files, by the same schemes and credentials as every other path."""

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        fs, path = open_fs(location)
        return FsspecInputFile(location=path, fs=fs)

    def new_output(self, location: str) -> OutputFile:
        """A file to write."""
        fs, path = open_fs(location)
        if is_local(fs):
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        return FsspecOutputFile(location=location, fs=fs)  # whole: manifests are named by it

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file."""
        fs, path = open_fs(location if isinstance(location, str) else location.location)
        fs.rm_file(path)


class IcebergReader:
    """Live rows of one data file: a function of its scan task, pickled, and the columns that are wanted.

    Args:
        metadata: of the table; snapshots are not needed.
        io: pyiceberg's access to files.
        schema: of the version that is read.
    """

    def __init__(self, metadata: Any, io: FileIO, schema: Any) -> None:
        self._metadata, self._io, self._schema = metadata, io, schema

    def __call__(self, mark: bytes, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        scan = ArrowScan(self._metadata, self._io, self._schema.select(*names), AlwaysTrue())
        yield from scan.to_record_batches([pickle.loads(mark)])  # noqa: S301 - made by this program's driver
