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

from uniner_dist.config.schemes import same_kind
from uniner_dist.core.characters import visible
from uniner_dist.storage.containment import OutsideError, require_inside
from uniner_dist.storage.filesystem import is_local, open_fs
from uniner_dist.storage.table_names import without_java_scheme


class TableIO(FileIO):
    """pyiceberg's access to files, by the same schemes and credentials as every other path.

    A table's metadata names its other files by whole paths. Someone who may write there must not lead a reader to other
    storage, nor the writer of an output out of it.

    Args:
        named_by: metadata file of the table, or the folder of its metadata: all files are on its kind of storage.
        inside: a folder that they have to lie in, links resolved; None for a corpus, whose files may lie anywhere.
    """

    def __init__(self, named_by: str, inside: str | None = None) -> None:
        super().__init__()
        self._named_by, self._inside = named_by, inside

    def new_input(self, location: str) -> InputFile:
        """Return a file to read; it is not opened yet.

        Args:
            location: path or URL as the table's metadata spells it.

        Raises:
            OutsideError: it is on another kind of storage, or outside of the folder that it must be in.
        """
        fs, path = self._open(location)
        return FsspecInputFile(location=path, fs=fs)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write; on this machine the folders above it are made.

        Args:
            location: path or URL as the table's metadata is to spell it.

        Raises:
            OutsideError: it is on another kind of storage, or outside of the folder that it must be in.
        """
        fs, path = self._open(location)
        if is_local(fs):
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        return FsspecOutputFile(location=location, fs=fs)  # whole: manifests are named by it

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file.

        Args:
            location: path or URL of the file, or an object that has it as its `location`.

        Raises:
            OutsideError: it is on another kind of storage, or outside of the folder that it must be in.
        """
        fs, path = self._open(location if isinstance(location, str) else location.location)
        fs.rm_file(path)

    def _open(self, location: str) -> tuple[Any, str]:
        location = without_java_scheme(location)
        require_same_kind(location, self._named_by)
        if self._inside is not None:
            require_inside(location, self._inside, self._named_by)
        return open_fs(location)


def require_same_kind(location: str, named_by: str) -> None:
    """Check that a file is on the same kind of storage as what names it.

    Args:
        location: path or URL of the file.
        named_by: path or URL of the metadata that names it.

    Raises:
        OutsideError: it is not.
    """
    if not same_kind(location, named_by):
        raise OutsideError(
            f"{named_by}: names a file on another kind of storage, {visible(location)[:300]}; it is not read"
        )


class IcebergReader:
    """Reader of the live rows of one data file, given its pickled scan task and the columns that are wanted.

    Args:
        metadata: of the table; snapshots are not needed.
        io: pyiceberg's access to files.
        schema: of the version that is read.
    """

    def __init__(self, metadata: Any, io: FileIO, schema: Any) -> None:
        self._metadata, self._io, self._schema = metadata, io, schema

    def __call__(self, mark: bytes, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the live rows of one data file, in batches.

        Args:
            mark: the file's scan task, pickled.
            names: names of the columns to read.
        """
        scan = ArrowScan(self._metadata, self._io, self._schema.select(*names), AlwaysTrue())
        yield from scan.to_record_batches([pickle.loads(mark)])  # noqa: S301 - made by this program's driver
