"""Footers of Parquet files: number of rows, storage of the columns, and which readers support it.

Each file's footer is read once, in threads. What is kept is small: a number of rows and the number of a schema, of
which there are few. Reads the ends of files, and of rows only columns of nanoseconds (`storage.nanoseconds`).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import chain
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError, first_line
from uniner_dist.storage.checksums import is_stale
from uniner_dist.storage.filesystem import is_local, open_fs
from uniner_dist.storage.listing import Listing, checksum_path, format_gone_files
from uniner_dist.storage.nanoseconds import find_cut_off, nanosecond_leaves
from uniner_dist.storage.parquet_schemas import arrow_schema, leaves_of, only_pyarrow_reads
from uniner_dist.storage.retries import with_retries

#: Bytes of a file's end that are read at first; longer footers are read again as a whole.
_TAIL_BYTES = 64 << 10
#: Files that are read at a time, where reading is bound by latency.
REMOTE_THREADS = 32
#: Footers that a thread reads before they are collected.
_FILES_PER_COLLECTION = 500
#: Raw schemas that are compared with a footer's before it is looked at more closely.
_RECENT = 8
#: Files with the same fault that are named.
_NAMED = 5
#: Compressions and encodings that pyarrow reads and Spark does not.
_CODECS_OF_PYARROW = frozenset({"BROTLI"})
#: pyarrow's name of the codec "LZ4" of the format's first years, which Spark reads only as Hadoop writes it.
_OLD_LZ4, _HADOOP = "UNKNOWN", "parquet-mr"
_ENCODINGS_OF_PYARROW = frozenset({"BYTE_STREAM_SPLIT"})
_UNREADABLE_CODECS = frozenset({"LZO"})
_ARROW_SCHEMA = b"ARROW:schema"
#: Bytes of one column in one row group, decompressed, above which Spark's reader may fail: it holds 256 rows at a time
#: in arrays of at most 2 GB that it doubles by copying. pyarrow in a task takes fewer rows.
LARGE_BYTES = 1 << 30


class Trait(StrEnum):
    """Reason why Spark itself cannot read a file that pyarrow reads, or may fail to."""

    NONE = ""
    ENCODING = "encoding"
    NAME = "name"
    CHECKSUM = "checksum"
    LARGE = "large"
    LIBRARY = "library"  # a table's own library reads it


@dataclass(frozen=True)
class FileSchema:
    """How a group of files stores its columns.

    Attributes:
        schema: pyarrow's types; fields stored as INT96 have the metadata `INT96`.
        opaque: the writer stored Arrow types that are unknown to pyarrow; they are ignored.
    """

    schema: pa.Schema
    opaque: bool

    def same(self, other: FileSchema) -> bool:
        """Return whether two groups of files store their columns alike: same names, types, INT96 marks and `opaque`.

        Args:
            other: schema of the other group.
        """
        return self.opaque == other.opaque and bool(self.schema.equals(other.schema, check_metadata=True))


@dataclass(frozen=True)
class Footers:
    """Content of the footers of a listing's files, in the order of its files.

    Attributes:
        rows: number of rows of each file.
        schema_of: of each file, the index of its schema in `schemas`.
        traits: of each file.
        schemas: the distinct schemas of the files.
    """

    rows: tuple[int, ...]
    schema_of: tuple[int, ...]
    traits: tuple[Trait, ...]
    schemas: tuple[FileSchema, ...]


def read_footers(listing: Listing, columns: Sequence[str] | None = None) -> Footers:
    """Read the footer of every file.

    Args:
        listing: the corpus.
        columns: those that are going to be read, whose compression, encoding and nanoseconds matter; default: the
            compression and encoding of all.

    Returns:
        The footers in the order of the listing's files; equal schemas are kept once.

    Raises:
        ConfigError: naming files that are no Parquet, are encrypted, or cannot be read; at most five, and the number of
            others.
    """
    fs, _ = open_fs(listing.path)
    local = is_local(fs)
    reader = _FooterReader(fs, columns, format_gone_files(listing))
    tail = _local_tail if local else partial(_remote_tail, fs)
    threads = (os.cpu_count() or 2) if local else REMOTE_THREADS

    def read(place: int) -> tuple[int, int, Trait] | str:
        name, size = listing.files[place], listing.sizes[place]
        try:
            return reader.read(tail, name, size, name in listing.checked)
        except _UnreadableFileError as error:
            return str(error)

    def read_some(begin: int) -> list[tuple[int, int, Trait] | str]:
        entries = [read(place) for place in range(begin, min(begin + step, count))]
        gc.collect()
        return entries

    count = len(listing.files)
    step = max(1, min(_FILES_PER_COLLECTION, count // (4 * threads)))
    with _collecting_new_objects(), ThreadPoolExecutor(threads) as pool:
        found = list(chain.from_iterable(pool.map(read_some, range(0, count, step))))
    problems = [
        f"corpus {name}: {words}" for name, words in zip(listing.files, found, strict=True) if isinstance(words, str)
    ]
    if problems:
        more = [f"corpus {listing.path}: {len(problems) - _NAMED:,} more files like these"]
        raise ConfigError(problems[:_NAMED] + (more if len(problems) > _NAMED else []))
    good = [entry for entry in found if not isinstance(entry, str)]
    return Footers(
        rows=tuple(entry[0] for entry in good),
        schema_of=tuple(entry[1] for entry in good),
        traits=tuple(entry[2] for entry in good),
        schemas=tuple(reader.schemas),
    )


@contextmanager
def _collecting_new_objects() -> Iterator[None]:
    """Let `gc.collect` examine only objects that are made from here on: then it takes a millisecond.

    A footer of pyarrow's and its schema refer to each other, so without collections all of them stay in memory.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _UnreadableFileError(Exception):
    """Message on what is wrong with a file."""


#: Bytes after a readable footer in files with encrypted columns only: a nonce and a tag (Parquet's encryption, 5.5).
_SIGNATURE_BYTES = 28
_Tail = Callable[[str, int, int], bytes]  # file, start, end


def _local_tail(file: str, start: int, end: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.pread(descriptor, end - start, start)
    finally:
        os.close(descriptor)


def _remote_tail(fs: Any, file: str, start: int, end: int) -> bytes:
    data: bytes = with_retries(file, lambda: fs.cat_file(file, start=start, end=end))
    return data


class _FooterReader:
    """Reads footers in many threads; schemas that are alike are kept once."""

    def __init__(self, fs: Any, columns: Sequence[str] | None, gone: str = "") -> None:
        self.schemas: list[FileSchema] = []
        self._fs, self._local, self._columns, self._gone = fs, is_local(fs), columns, gone
        self._recent: list[tuple[Any, bytes | None, tuple[int, bool]]] = []
        self._leaves: dict[int, list[int]] = {}  # of the columns that matter, by schema
        self._nanoseconds: dict[int, tuple[int, ...]] = {}  # those of them that are to be looked at, by schema
        self._lock = Lock()

    def read(self, tail: _Tail, file: str, size: int, checked: bool) -> tuple[int, int, Trait]:
        """Rows, number of the schema, and trait of a file."""
        try:
            end = _read_end(tail, file, size)
        except FileNotFoundError as error:
            raise _UnreadableFileError(f"is not there{self._gone}") from error
        except PermissionError as error:
            raise _UnreadableFileError(f"may not be read: {error}") from error
        except OSError as error:
            raise _UnreadableFileError(f"cannot be read: {error}") from error
        metadata, opaque = _parse(end)
        schema, for_pyarrow = self._schema(metadata, opaque)
        if self._nanoseconds[schema]:
            self._check_nanoseconds(file, metadata, opaque, self._nanoseconds[schema])
        trait = Trait.ENCODING if for_pyarrow else self._trait(metadata, self._leaves[schema])
        if self._local and not trait:
            if _has_foreign_name(file):
                trait = Trait.NAME
            elif checked and is_stale(checksum_path(file), end, size):
                trait = Trait.CHECKSUM
        return int(metadata.num_rows), schema, trait

    def _schema(self, metadata: Any, opaque: bool) -> tuple[int, bool]:
        """Number of the schema, and whether only pyarrow reads it."""
        stored = (metadata.metadata or {}).get(_ARROW_SCHEMA)
        for parquet, arrow, known in self._recent:
            if arrow == stored and parquet.equals(metadata.schema):
                return known
        schema = FileSchema(_arrow_schema(metadata.schema, opaque), opaque)
        with self._lock:
            number = next((i for i, known in enumerate(self.schemas) if known.same(schema)), len(self.schemas))
            if number == len(self.schemas):
                leaves = leaves_of(metadata.schema, self._columns)
                self._leaves[number] = leaves
                self._nanoseconds[number] = nanosecond_leaves(metadata.schema, leaves if self._columns else ())
                self.schemas.append(schema)
            for_pyarrow = only_pyarrow_reads(metadata.schema, self._leaves[number], schema.schema)
            self._recent = [(metadata.schema, stored, (number, for_pyarrow)), *self._recent[: _RECENT - 1]]
        return number, for_pyarrow

    def _check_nanoseconds(self, file: str, metadata: Any, opaque: bool, leaves: Sequence[int]) -> None:
        def open_file() -> Any:
            stream = self._fs.open(file, "rb")
            return pa.BufferReader(without_arrow_schema(stream.read())) if opaque else stream

        try:
            path = with_retries(file, lambda: find_cut_off(open_file, metadata, leaves))
        except (pa.ArrowException, EOFError, OSError) as error:
            raise _UnreadableFileError(f"cannot be read: {first_line(error)}") from error
        if path is not None:
            raise _UnreadableFileError(
                f"column {path} has timestamps that are not whole microseconds (or, stored as INT96, are beyond what "
                "pyarrow reads), and would be changed; write it in microseconds, or as a number of nanoseconds"
            )

    def _trait(self, metadata: Any, leaves: Sequence[int]) -> Trait:
        codecs = _CODECS_OF_PYARROW
        if not (metadata.created_by or "").startswith(_HADOOP):
            codecs |= {_OLD_LZ4}
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        for chunk in (group.column(leaf) for group in groups for leaf in leaves):
            if chunk.compression in _UNREADABLE_CODECS:
                raise _UnreadableFileError(f"is compressed by {chunk.compression}; write it with another compression")
            if chunk.compression in codecs or not _ENCODINGS_OF_PYARROW.isdisjoint(chunk.encodings):
                return Trait.ENCODING
        return Trait.LARGE if _has_large_chunk(metadata, leaves) else Trait.NONE


def _read_end(tail: _Tail, file: str, size: int) -> bytes:
    """The end of a file with its whole footer."""
    if size == 0:
        raise _UnreadableFileError("is empty (0 bytes), not a readable Parquet file; remove it or write it again")
    end = tail(file, max(0, size - _TAIL_BYTES), size)
    if end[-4:] == b"PARE":
        raise _UnreadableFileError("is encrypted; decrypt it, or write the corpus without encryption")
    if end[-4:] != b"PAR1" or len(end) < 12:
        raise _UnreadableFileError("is not a readable Parquet file: it does not end like one; repair or remove it")
    length = int.from_bytes(end[-8:-4], "little") + 8
    return end if length <= len(end) else tail(file, max(0, size - length), size)


def _parse(end: bytes) -> tuple[Any, bool]:
    """Return a footer, and whether the Arrow types that the writer stored were ignored."""
    metadata, opaque = _parsed(end)
    # Access to an encrypted column would end the whole process (pyarrow 26: "terminate called").
    if int.from_bytes(end[-8:-4], "little") - metadata.serialized_size == _SIGNATURE_BYTES:
        raise _UnreadableFileError("has encrypted columns; decrypt it, or write the corpus without encryption")
    return metadata, opaque


def _parsed(end: bytes) -> tuple[Any, bool]:
    try:
        return pq.read_metadata(pa.BufferReader(end)), False
    except (pa.ArrowException, OSError) as error:
        try:
            return pq.read_metadata(pa.BufferReader(without_arrow_schema(end))), True
        except (pa.ArrowException, OSError):
            words = first_line(error)
            encrypted = " (encrypted columns?)" if "crypt" in words else ""
            raise _UnreadableFileError(f"is not a readable Parquet file: {words}{encrypted}") from error


def without_arrow_schema(end: bytes) -> bytes:
    """Return the end of a file in which pyarrow finds no Arrow types of the writer's: some writers store unknown ones.

    Args:
        end: bytes of a Parquet file that reach to its end and hold its whole footer, such as the whole file. Only in
            the footer is the key replaced, by one of the same length, so that offsets stay valid.
    """
    start = len(end) - 8 - int.from_bytes(end[-8:-4], "little")
    return b"".join((memoryview(end)[:start], end[start:].replace(_ARROW_SCHEMA, b"ARROW:unread")))


def _arrow_schema(parquet: Any, opaque: bool) -> pa.Schema:
    try:
        return arrow_schema(parquet, opaque)
    except pa.ArrowException as error:
        raise _UnreadableFileError(f"has columns of an unknown type: {first_line(error)}") from error


def _has_large_chunk(metadata: Any, leaves: Sequence[int]) -> bool:
    """Return whether any row group has a column so large that one value may be too much for Spark's reader."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    large = (group for group in groups if group.total_byte_size > LARGE_BYTES)
    return any(group.column(leaf).total_uncompressed_size > LARGE_BYTES for group in large for leaf in leaves)


def _has_foreign_name(file: str) -> bool:
    """Return whether Hadoop cannot spell a local file's name: it takes the part before a colon for a scheme."""
    return any(sign in file.rsplit("/", 1)[-1] for sign in ":\\")
