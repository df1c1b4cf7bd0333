"""Thin functions over fsspec: open a path of any scheme, list, read whole, and write whole and atomically.

A file either is not there or is complete: local files appear by rename or link, objects by one PUT of a whole buffer.
Nothing here writes through an open handle, because an exception inside an fsspec `with` block can publish half a file.
A call that a store throttles or fails is repeated for some seconds; what still fails is a `StorageError` with the
store's own message.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Literal, TypeVar, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from uniner_dist.config.schemes import check_scheme
from uniner_dist.config.secrets import PASSWORD, SIGNED
from uniner_dist.errors import ConfigError
from uniner_dist.runtime.engines import format_import_error, require
from uniner_dist.storage.local_writes import NO_LINKS, write_local
from uniner_dist.storage.namenode import require_namenode
from uniner_dist.storage.renames import create_by_rename, replace_by_rename, writes_in_place
from uniner_dist.storage.retries import StorageError, format_storage_error, is_storage_error, with_retries
from uniner_dist.storage.table_names import is_table_name

#: Delete and the C1 controls, and marks that change the direction of what follows.
_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

#: Connections of a client to S3: as many as there are threads that read footers.
_CONNECTIONS = 32

T = TypeVar("T")

#: Clients of HDFS, which are never released: fsspec empties its cache in a forked child, which Ray's start is for a
#: moment, and there hdfs-native waits for ever for the threads of its parent (fsspec 2026.9.0, hdfs-native 0.14.7).
_KEPT: dict[int, Any] = {}


def open_fs(path: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path as that file system spells it.

    Args:
        path: local path, absolute or relative to the current folder, or URL of one of `config.schemes`.

    Returns:
        fsspec's file system, and the path in it without scheme and without a slash at its end.

    Raises:
        ConfigError: the URL is of a kind that is not taken (`config.schemes`), or of one whose library is not
            installed; or it holds a password, which would be written into the run's folder and into logs.
        StorageError: nobody answers at the namenode of an `hdfs://` URL.
    """
    if "://" in path and "?" in path and SIGNED.search(path):
        shown = path.partition("?")[0]
        raise ConfigError(f"{shown}?…: is a signed URL; give credentials by environment variables, not in a URL")
    if PASSWORD.search(path):
        shown = PASSWORD.sub(r"\1:…", path)
        raise ConfigError(f"{shown}: give passwords by environment variables or the storage's own files, not in a URL")
    try:
        check_scheme(path)
        if path.startswith("hdfs://"):
            require("hdfs_native")  # without it fsspec goes through libhdfs, which cannot replace a file in one step
            require_namenode(path)
        fs, stripped = fsspec.core.url_to_fs(path, **_options(path))
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{path}: {format_import_error(error)}") from error
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise ConfigError(f"{path}: {_connection_advice(path, error)}") from error
    if "hdfs" in fs.protocol:
        _KEPT[id(fs)] = fs
    return fs, stripped.rstrip("/") or stripped


def _options(path: str) -> dict[str, object]:
    """Return options for a client that the user has not configured: that of S3 has only ten connections by default."""
    schemes = ("s3", "s3a")  # one client, which takes what is configured for either
    if path.partition("://")[0] not in schemes or any(
        "config_kwargs" in fsspec.config.conf.get(s, {}) for s in schemes
    ):
        return {}
    return {"config_kwargs": {"max_pool_connections": _CONNECTIONS}}


def _connection_advice(path: str, error: Exception) -> str:
    """Return advice for a file system that cannot even be created."""
    words = format_storage_error(error)
    if path.startswith("hdfs://"):
        return f"name the namenode in the URL, or set HADOOP_CONF_DIR to the folder of hdfs-site.xml; it says: {words}"
    return words


def is_local(fs: Any) -> bool:
    """Return whether paths of this file system are paths of this machine.

    Args:
        fs: fsspec file system, from `open_fs`.
    """
    return isinstance(fs, LocalFileSystem)


def absolute(path: str) -> str:
    """Return the same place, independent of the working directory and of how it is spelled.

    Local paths become absolute, without `.`, `..` and repeated slashes; symbolic links stay, except before `..`, which
    is the parent of what they point to. URLs and names of tables in a catalog stay as they are: to an object store
    `a//b` is another key than `a/b`. Only slashes at the end of a URL are dropped.

    Args:
        path: local path, URL, or name of a table in a catalog; it need not exist. `file://` URLs become paths.

    Raises:
        ConfigError: see `open_fs`.
    """
    if is_table_name(path):
        return path
    fs, stripped = open_fs(path)
    return _normal(stripped) if is_local(fs) else path.rstrip("/")


def real_path(path: str) -> str:
    """Return a local path absolute and without symbolic links; a URL, or the name of a table in a catalog, as it is.

    Args:
        path: local path, URL, or name of a table in a catalog; it need not exist. `file://` URLs become paths.

    Raises:
        ConfigError: see `open_fs`.
    """
    if is_table_name(path):
        return path
    fs, stripped = open_fs(path)
    return os.path.realpath(stripped) if is_local(fs) else path.rstrip("/")


def _normal(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        end = len(parts) - parts[::-1].index("..")
        parts = [os.path.realpath("/" + "/".join(parts[:end])).strip("/"), *parts[end:]]
    return "/" + "/".join(part for part in parts if part)


def url_of(url: str, stripped: str, name: str) -> str:
    """Return a URL with the host that file systems leave out of paths: a namenode, or the account of `abfs://`.

    Args:
        url: a URL of the same store, which gives scheme and host.
        stripped: that URL as the store's file system spells it.
        name: the wanted file or folder as that file system spells it.
    """
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.rstrip("/").partition("/")
    bucket = stripped.rstrip("/").removesuffix(path).rstrip("/")
    return f"{scheme}://{authority}/{name.removeprefix(bucket).lstrip('/')}".rstrip("/")


def join(base: str, *parts: str) -> str:
    """Return a path below `base`, for local paths and URLs alike.

    Args:
        base: local path or URL of a folder, with or without a slash at its end; relative paths stay relative.
        parts: names or relative paths below it; slashes at their ends are dropped.
    """
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def exists(path: str) -> bool:
    """Return whether a file or folder is there.

    Args:
        path: local path or URL; a folder of an object store exists as long as there is an object below it.

    Raises:
        StorageError: storage does not answer, so that nothing is known.
    """
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        # Not `fs.exists`: some file systems return False there when they cannot be reached.
        with_retries(path, lambda: fs.info(stripped))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def list_names(path: str) -> list[str]:
    """Return the names (not paths) of the entries of a folder, sorted; empty when the folder does not exist.

    Args:
        path: local path or URL of the folder. A file has no entries, except that a local file is listed
            as its own entry.

    Raises:
        StorageError: the folder cannot be listed.
    """
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    try:
        entries = with_retries(path, lambda: fs.ls(stripped, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    here = is_local(fs)
    # A remote file lists itself, and a folder that some tool made is an object without content named like the folder.
    names = (str(entry).rstrip("/") for entry in entries)
    return sorted({name.rsplit("/", 1)[-1] for name in names if here or name != stripped} - {""})


def find_files(path: str, suffix: str = "") -> dict[str, dict[str, object]]:
    """Return every file below a folder, as path relative to it → fsspec's details.

    Args:
        path: local path or URL of the folder; where it does not exist, or is a file, the result is empty.
        suffix: only files whose path ends so; default: all.

    Returns:
        Paths without those that have a hidden part (`_x`, `.x`); a folder such as `_x=1` is a partition and not hidden.

    Raises:
        StorageError: the folder cannot be listed.
    """
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    found: dict[str, dict[str, object]] = {}
    for name, info in find_details(fs, stripped).items():
        relative = name[len(stripped) :].lstrip("/")
        hidden = any(part.startswith(("_", ".")) and "=" not in part for part in relative.split("/"))
        if relative and not hidden and relative.endswith(suffix):
            found[relative] = info
    return found


def file_size(details: Mapping[str, object]) -> int:
    """Return the size of a file in bytes; 0 where its file system does not say.

    Args:
        details: fsspec's details of the file, as `find_files` gives them.
    """
    size = details.get("size")
    return size if isinstance(size, int) else 0


def find_details(
    fs: Any, stripped: str, maxdepth: int | None = None, withdirs: bool = False
) -> dict[str, dict[str, object]]:
    """Return every file below a folder, or the file itself, as the file system spells it → fsspec's details, by name.

    Objects that represent folders (`folder/`, without content, as consoles of stores make them) are no files.

    Args:
        fs: fsspec file system of the folder.
        stripped: its path without the scheme, as `open_fs` gives it.
        maxdepth: levels to go down; None for all.
        withdirs: whether folders below it are returned, too.

    Raises:
        StorageError: one of the folders cannot be listed.
    """
    if not fs.async_impl or (maxdepth and "s3" in fs.protocol):
        walked = sorted(_walk(fs, stripped, maxdepth, withdirs), key=itemgetter(0))
        return {name: info for name, info in walked if not name.endswith("/")}
    options = {"maxdepth": maxdepth, "withdirs": True} if withdirs else {}
    name_of = fs.unstrip_protocol(stripped)
    found = with_retries(name_of, lambda: fs.find(stripped, detail=True, **options))
    if isinstance(found, list):  # adlfs returns a list for one file
        found = {str(name): with_retries(name_of, partial(fs.info, name)) for name in found}
    return {name: info for name, info in found.items() if not name.endswith("/")}


def _walk(fs: Any, folder: str, depth: int | None, withdirs: bool) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield files below a folder; fsspec's own walk takes a folder that cannot be listed for an empty one."""
    try:
        shown = folder if is_local(fs) else fs.unstrip_protocol(folder)
        entries = with_retries(shown, lambda: fs.ls(folder, detail=True))
    except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
        return
    for info in entries:
        below = info["type"] == "directory" and info["name"].rstrip("/") != folder
        if withdirs or info["type"] != "directory":
            yield info["name"], info
        if below and (depth is None or depth > 1):
            yield from _walk(fs, info["name"].rstrip("/"), depth and depth - 1, withdirs)


def read_bytes(path: str, last: int | None = None) -> bytes:
    """Return the whole file, or at most its `last` bytes.

    Args:
        path: local path or URL of the file.
        last: number of bytes at the end of the file; None: the whole file. A shorter file is returned whole.

    Raises:
        FileNotFoundError, NotADirectoryError, IsADirectoryError: there is no such file.
        StorageError: it cannot be read.
    """
    fs, stripped = open_fs(path)
    return cast(bytes, with_retries(path, lambda: fs.cat_file(stripped) if last is None else _tail(fs, stripped, last)))


def _tail(fs: Any, path: str, last: int) -> bytes:
    """Return the last bytes of a file; Azure has no request for them (ValueError of adlfs): the size is read first."""
    if "abfs" not in fs.protocol:
        return cast(bytes, fs.cat_file(path, start=-last))
    size = int(fs.info(path)["size"])
    return cast(bytes, fs.cat_file(path, start=max(0, size - last), end=size)) if size else b""


def read_json(path: str) -> Any:
    """Return the content of a JSON file, which is not checked; control files are read by `control_files.read_control`.

    Args:
        path: local path or URL of the file.

    Raises:
        FileNotFoundError, NotADirectoryError, IsADirectoryError: there is no such file.
        StorageError: it cannot be read.
        ValueError: it is not JSON.
    """
    return json.loads(read_bytes(path))


def write_bytes(path: str, data: bytes, exclusive: bool = False) -> bool:
    """Write a whole file so that it appears complete or not at all.

    Args:
        path: path or URL of the file; folders above it are made.
        data: the whole content.
        exclusive: do nothing when the file already exists (put-if-absent).

    Returns:
        False when `exclusive` and the file was already there. On storage other than local disks, True also when it was
        there with this very content: the answer to our own write may have been lost, and the client has sent it again.

    Raises:
        StorageError: it cannot be written.
    """
    fs, stripped = open_fs(path)
    if is_local(fs):
        return with_retries(path, lambda: write_local(stripped, data, exclusive))
    if exclusive:
        return _create(path, fs, stripped, data)
    if "hdfs" in fs.protocol:
        replace_by_rename(path, fs, stripped, data)
        return True
    with_retries(path, lambda: fs.pipe_file(stripped, data, mode="overwrite"))
    return True


def _create(path: str, fs: Any, stripped: str, data: bytes) -> bool:
    """Put if absent, or rename onto a missing name where the file system has no such write (HDFS)."""
    try:
        if not writes_in_place(fs):
            with contextlib.suppress(ValueError, NotImplementedError):
                with_retries(path, lambda: fs.pipe_file(stripped, data, mode="create"))
                return True
        create_by_rename(path, fs, stripped, data)
        return True
    except FileExistsError:
        # A PUT whose answer was lost is sent again by the client and then meets itself.
        return read_bytes(path) == data


def exclusive_by(folder: str) -> Literal["put", "link", "open", "rename"]:
    """Return how files are created exclusively in a folder.

    Args:
        folder: local path or URL of a folder to try it in; up to two small files with random names stay there.

    Returns:
        "link" or "open" for this machine's file systems, with and without hard links; "put" for a store with a
        conditional write; "rename" for one that only renames onto missing names.

    Raises:
        StorageError: storage failed, or refuses hard links for another reason than not having them.
    """
    fs, stripped = open_fs(folder)
    name = f"{stripped}/{uuid.uuid4().hex}"
    if not is_local(fs):
        if writes_in_place(fs):
            return "rename"
        try:
            with_retries(folder, lambda: fs.pipe_file(name, b"", mode="create"))
        except (ValueError, NotImplementedError):
            return "rename"
        return "put"
    write_bytes(name, b"")
    try:
        os.link(name, f"{name}.link")
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise StorageError(f"{folder}: {format_storage_error(error)}") from error
        return "open"
    return "link"


def write_json(path: str, value: Any, exclusive: bool = False) -> bool:
    """Write a value as indented JSON, so that the file appears complete or not at all.

    Args:
        path: path or URL of the file; folders above it are made.
        value: JSON-like value; values of types that JSON lacks are stored as their strings.
        exclusive: do nothing when the file already exists (put-if-absent).

    Returns:
        False when `exclusive` and the file was already there; see `write_bytes`.

    Raises:
        StorageError: it cannot be written.
    """
    return write_bytes(path, encode_json(value), exclusive)


def encode_json(value: Any) -> bytes:
    """Return a value as it is stored in control files: the text of `json_text` and a line break, in UTF-8.

    Args:
        value: JSON-like value; values of types that JSON lacks are stored as their strings.
    """
    return (json_text(value) + "\n").encode()


def json_text(value: Any) -> str:
    """Return indented JSON that is safe to show in a terminal: the control characters that JSON allows are escaped too.

    Args:
        value: JSON-like value, whose keys keep their order; values of types that JSON lacks are stored as their
            strings.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False, default=str)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def remove(path: str) -> None:
    """Remove a file or a folder with all below it, if it is there; of a link only the link goes.

    Args:
        path: local path or URL of the file or folder.

    Raises:
        StorageError: it cannot be removed; a folder may have lost some of its files.
    """
    fs, stripped = open_fs(path)
    fs.invalidate_cache()
    if is_local(fs) and os.path.islink(stripped):
        os.unlink(stripped)
        return
    with contextlib.suppress(FileNotFoundError):
        with_retries(path, lambda: fs.rm(stripped, recursive=True))


def remove_if_empty(path: str) -> None:
    """Remove a folder of this machine that is empty; elsewhere folders are only names of what is in them.

    Args:
        path: local path or URL of the folder; one that has entries, or does not exist, stays as it is.
    """
    fs, stripped = open_fs(path)
    if is_local(fs):
        with contextlib.suppress(OSError):
            os.rmdir(stripped)


def copy_file(source: str, target: str) -> None:
    """Copy one file between any two paths, through memory; the target appears complete or not at all.

    Args:
        source: local path or URL of the file.
        target: path or URL of the copy; folders above it are made, and a file with this name is replaced.

    Raises:
        FileNotFoundError, NotADirectoryError, IsADirectoryError: there is no such source.
        StorageError: one of them cannot be read or written.
    """
    write_bytes(target, read_bytes(source))
