"""Listing of the files of a corpus: a file, a folder, a pattern or a dataset of partition folders, listed once.

A file belongs to a corpus if no part of its path is hidden (`_x`, `.x`), and it ends in .parquet, .parq or .pq in any
case, or has no ending and begins like Parquet (Hive writes `000000_0`). Links are followed. Reads listings, no rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from fsspec.utils import glob_translate

from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import exists, file_size, find_details, is_local, open_fs
from uniner_dist.storage.retries import StorageError, format_storage_error, is_storage_error, with_retries
from uniner_dist.storage.table_formats import refuse_tables
from uniner_dist.storage.table_version import TableVersion

#: Endings that make a file part of a corpus.
SUFFIXES = (".parquet", ".parq", ".pq")
_MAGIC = b"PAR1"
#: Alternatives in a part of a pattern, in Spark's syntax: `{2024,2025}`.
_BRACES = re.compile(r"\{([^{}/]*,[^{}/]*)\}")
#: Number of files whose beginnings are read at the same time.
_READERS = 32
#: Number of files that a message about many files names.
SHOWN = 3


@dataclass(frozen=True)
class Listing:
    """A corpus as listed.

    Attributes:
        path: as the user gave it.
        base: the folder that partition columns count from, as Spark's `basePath`: the path without its pattern and
            without folders like `domain=ai` at its end, so that one partition of a corpus keeps its column.
        partitions: folder columns.
        files: as the file system spells them, sorted.
        sizes: in bytes, of each file.
        versions: of each file, an entity tag or time from its file system that changes when the file does; or empty.
        passed_over: files in the same folders that are not part of the corpus, and are not hidden.
        checked: files next to which Hadoop left a checksum, `.NAME.crc`.
        plain: whether a reader that is given the folder finds these files and no others.
        table: the version of a table that the files are of; None for a corpus of plain Parquet.
    """

    path: str
    base: str
    partitions: tuple[str, ...]
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    versions: tuple[str, ...]
    passed_over: tuple[str, ...]
    checked: frozenset[str]
    plain: bool
    table: TableVersion | None = None

    @cached_property
    def digest(self) -> str:
        """Hash over all names, sizes and versions; part of the run's id, so a changed corpus is another run."""
        if self.table is not None:
            return self.table.digest
        rows = zip(self.relative, self.sizes, self.versions, strict=True)
        return digest({name: [size, version] for name, size, version in rows})

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(self.sizes)

    @property
    def relative(self) -> Iterator[str]:
        """The files' paths below the base, with a slash in front."""
        return (file[len(self.base) :] for file in self.files)


@dataclass
class _Found:
    """Files found, by name, with size and version; every name that was seen; and whether links were followed."""

    files: dict[str, tuple[int, str]]
    seen: Iterable[str]
    linked: bool = False


def list_corpus(path: str) -> Listing:
    """List the corpus.

    Args:
        path: local path or URL of a file, a folder or a dataset of partition folders; or a pattern with `*`, `**`, `?`,
            `[…]` or `{…,…}`.

    Returns:
        The files with sizes and versions; never without any file.

    Raises:
        ConfigError: nothing there, no Parquet files, a table's folder, a link to nothing, files that may not be listed,
            names that are not UTF-8, or folders that disagree about the partition columns.
    """
    fs, stripped = open_fs(path)
    base = _base(path)
    found = _find(path, fs, stripped)
    visible = [name for name in found.files if _is_visible(name[len(base) :])]
    unnamed = _unnamed_parquet(fs, {name: found.files[name][0] for name in visible})
    files = sorted(name for name in visible if name.lower().endswith(SUFFIXES) or name in unnamed)
    # A folder is listed whole, so files that mark it as a table are seen there; those of folders above it are not.
    refuse_tables(path, fs, [without_wildcards(stripped) if is_glob(path) else stripped], found.seen, files)
    passed_over = sorted({*visible}.difference(files))
    if not files:
        beside = f" (there are others: {shown(passed_over)})" if passed_over else ""
        raise ConfigError(
            f"corpus {path}: no Parquet files there{beside}; they end in .parquet, .parq or .pq, and hidden files do "
            "not count"
        )
    try:
        "".join(files).encode()
    except UnicodeEncodeError as error:
        name = next(name for name in files if error.object[error.start] in name)
        raise ConfigError(f"corpus {path}: the name {name!r} is not UTF-8; rename it") from None
    layouts = {_partition_names(file[len(base) :]) for file in files}
    if len(layouts) > 1:
        different = " and ".join("/".join(layout) or "no partition" for layout in sorted(layouts)[:SHOWN])
        raise ConfigError(f"corpus {path}: folders disagree about the partition columns: {different}")
    named = all(file.endswith(SUFFIXES) for file in files)
    return Listing(
        path=path,
        base=base,
        partitions=layouts.pop(),
        files=tuple(files),
        sizes=tuple(found.files[file][0] for file in files),
        versions=tuple(found.files[file][1] for file in files),
        passed_over=tuple(passed_over),
        checked=_checked(fs, files, found.seen),
        plain=named and not found.linked and not is_glob(path),
    )


def checksum_path(file: str) -> str:
    """Return the path at which Hadoop's local file system keeps the checksum of a file.

    Args:
        file: absolute local path of the file.
    """
    folder, _, name = file.rpartition("/")
    return f"{folder}/.{name}.crc"


def checked_locally(fs: Any, files: Iterable[str]) -> frozenset[str]:
    """Return those of some files that have a checksum of Hadoop's; only this machine's own file system is examined.

    Args:
        fs: fsspec file system of the files; one that is not local gives an empty set.
        files: paths as that file system spells them.
    """
    return frozenset(file for file in files if os.path.exists(checksum_path(file))) if is_local(fs) else frozenset()


def _checked(fs: Any, files: Iterable[str], seen: Iterable[str]) -> frozenset[str]:
    checksums = {name for name in seen if name.endswith(".crc")} if is_local(fs) else set()
    return frozenset(file for file in files if checksum_path(file) in checksums) if checksums else frozenset()


def is_glob(path: str) -> bool:
    """Return whether a path holds a wildcard.

    Args:
        path: local path or URL, or a part of one; wildcards are `*`, `?`, `[` and alternatives such as `{2024,2025}`.
    """
    return any(sign in path for sign in "*?[") or _BRACES.search(path) is not None


def without_wildcards(path: str) -> str:
    """Return the part of a path before the first folder or file name that has a wildcard.

    Args:
        path: pattern, as the file system or the user spells it; one without wildcards is returned whole.
    """
    parts = path.split("/")
    return "/".join(parts[: next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))])


def shown(names: Iterable[str]) -> str:
    """Return the first three names and the number of others, for a message.

    Args:
        names: names in the order in which they are to be shown; none give an empty string.
    """
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def format_gone_files(listing: Listing) -> str:
    """Return the reason why a file that the log of a table names is not there, as the rest of a message's sentence.

    Args:
        listing: the corpus; for one that is no table the result is empty.
    """
    if listing.table is None:
        return ""
    return (
        f", though {listing.table.words} needs it: the table was vacuumed, or its snapshots were expired; choose a "
        "newer version by corpus.version, or leave that out"
    )


def _base(path: str) -> str:
    parts = open_fs(path)[1].split("/")
    if not is_glob(path) and parts[-1].lower().endswith(SUFFIXES):
        parts.pop()
    parts = without_wildcards("/".join(parts)).split("/")
    while len(parts) > 1 and "=" in parts[-1]:
        parts.pop()
    return "/".join(parts)


def _is_visible(relative: str) -> bool:
    return not any(part.startswith(("_", ".")) and "=" not in part for part in relative.split("/"))


def _partition_names(relative: str) -> tuple[str, ...]:
    folders = relative.split("/")[:-1]
    return tuple(unquote(folder.split("=", 1)[0]) for folder in folders if "=" in folder)


def _unnamed_parquet(fs: Any, sizes: Mapping[str, int]) -> frozenset[str]:
    """Return those files without an ending that begin like Parquet.

    Args:
        fs: fsspec file system of the files.
        sizes: of each file, in bytes; empty ones are not read: object stores refuse a range of nothing.
    """
    unnamed = [name for name, size in sizes.items() if size and "." not in name.rsplit("/", 1)[-1]]
    if not unnamed:
        return frozenset()

    def begins(name: str) -> bool:
        return bool(with_retries(name, lambda: fs.cat_file(name, start=0, end=len(_MAGIC))) == _MAGIC)

    with ThreadPoolExecutor(_READERS) as readers:
        return frozenset(name for name, found in zip(unnamed, readers.map(begins, unnamed), strict=True) if found)


def _find(path: str, fs: Any, stripped: str) -> _Found:
    fs.invalidate_cache()
    try:
        if is_local(fs):
            return _find_local(path, stripped)
        if is_glob(path):
            return _find_matching(fs, stripped)
        if not exists(path):
            raise ConfigError(f"corpus {path}: is not there")
        infos = find_details(fs, stripped)
        return _Found(_stamps(infos), list(infos))
    except Exception as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if isinstance(cause, PermissionError):
            raise ConfigError(f"corpus {path}: may not be read: {cause}") from error
        if not isinstance(cause, Exception) or not is_storage_error(cause):
            raise
        raise ConfigError(f"corpus {path}: cannot be listed: {format_storage_error(cause)}") from error


def _find_matching(fs: Any, pattern: str) -> _Found:
    """Return the files of a remote file system that match, and those below folders that match."""
    root = without_wildcards(pattern)
    seen = find_details(fs, root, maxdepth=_depth(pattern, root), withdirs=True)
    matches = _matcher(pattern)
    files = {name: info for name, info in seen.items() if info["type"] == "file" and matches(name)}
    for folder in [name for name, info in seen.items() if info["type"] != "file" and matches(name)]:
        files |= find_details(fs, folder)
    return _Found(_stamps(files), [*seen, *files])


def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    try:
        return re.compile("|".join(glob_translate(one) for one in _alternatives(pattern))).match
    except ValueError as error:
        raise ConfigError(f"corpus {pattern}: ** is for whole folders, as in FOLDER/**/*.parquet ({error})") from error


def _alternatives(pattern: str) -> list[str]:
    """Patterns without braces."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for choice in found[1].split(",") for one in _alternatives(before + choice + after)]


def _depth(pattern: str, root: str) -> int | None:
    """Return how many levels below its root a pattern reaches; None without a limit."""
    return None if "**" in pattern else pattern[len(root) :].lstrip("/").count("/") + 1


def _stamps(infos: dict[str, dict[str, object]]) -> dict[str, tuple[int, str]]:
    return {name: (file_size(info), _version(info)) for name, info in infos.items()}


def _version(info: dict[str, object]) -> str:
    for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "modification_time"):
        if info.get(key):
            return str(info[key])
    return ""


# -- This machine's own file system: links are followed --------------------------------------------------------------


def _find_local(path: str, place: str) -> _Found:
    """Files at a place or matching a pattern."""
    if not is_glob(path):
        if not os.path.exists(place):
            raise ConfigError(f"corpus {path}: is not there")
        entries = list(_walk(place)) if os.path.isdir(place) else [(place, False, os.path.islink(place))]
        return _found(entries, entries)
    root = without_wildcards(place)
    entries = list(_walk(root, _depth(place, root))) if os.path.isdir(root) else []
    matches = _matcher(place)
    chosen = [entry for entry in entries if matches(entry[0])]
    below = [inner for entry in chosen if entry[1] for inner in _walk(entry[0])]
    return _found([*chosen, *below], [*entries, *below])


def _leads_up(folder: str) -> bool:
    """Whether a folder is a link to one above it."""
    above = os.path.realpath(os.path.dirname(folder))
    return f"{above}/".startswith(f"{os.path.realpath(folder)}/")


_Entry = tuple[str, bool, bool]  # path, whether it is a folder, whether it is a link


def _found(chosen: Iterable[_Entry], seen: Iterable[_Entry]) -> _Found:
    files: dict[str, tuple[int, str]] = {}
    for name, is_folder, is_link in chosen:
        if is_folder or name in files:
            continue
        try:
            stat = os.stat(name)
        except FileNotFoundError:
            if is_link and name.lower().endswith(SUFFIXES):
                raise ConfigError(f"corpus {name}: is a link to nothing; repair or remove it") from None
            continue  # it was removed while the folder was listed: the listing at the end of the stage will differ
        files[name] = (stat.st_size, str(stat.st_mtime))
    return _Found(files, [entry[0] for entry in seen], any(entry[2] for entry in seen))


def _walk(folder: str, depth: int | None = None, above: tuple[tuple[int, int], ...] = ()) -> Iterator[_Entry]:
    """Everything below a folder, links followed, except links to a folder that contains them.

    Args:
        folder: path on this machine.
        depth: levels to go down; None for all.
        above: identities of the folders on the way here.
    """
    stat = os.stat(folder)
    here = (stat.st_dev, stat.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        listed = [(entry.path, entry.is_dir(), entry.is_symlink()) for entry in entries]
    for entry in listed:
        if entry[1] and entry[2] and _leads_up(entry[0]):
            continue
        yield entry
        hidden = not _is_visible(entry[0].rsplit("/", 1)[-1])  # its content does not belong to the corpus
        if entry[1] and not hidden and (depth is None or depth > 1):
            yield from _walk(entry[0], None if depth is None else depth - 1, (*above, here))
