"""A model in a folder on any fsspec path: read from afar by the driver, copied once to each node that loads it.

Gives listing and checksums of a URL (the store's ETag or checksum; where it has none, SHA-256 of the content), and a
local copy. The copy records each file's checksum and is renewed where that changes: a size says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path

from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import cache_folder, locked, read_cached, write_cached
from uniner_dist.model.weights import weight_files
from uniner_dist.storage.filesystem import file_size, find_files, join, open_fs
from uniner_dist.storage.retries import with_retries

#: What stores call the value that changes with a file's bytes, in fsspec's details: S3, Google, Azure, WebHDFS and
#: others. A time of change is none: it has no finer grain than a second in some stores.
_CHECKSUMS = ("ETag", "etag", "md5Hash", "md5", "crc32c", "content_md5", "checksum", "sha256")
_CHUNK_BYTES = 16 << 20
#: Next to a copied file, the checksum of what it was copied from.
_NOTES = ".checksums.json"


class RemoteFolder:
    """A folder of an object store or another file system."""

    is_partial = False

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.title = f"model {url}"
        if not self._files:
            raise ConfigError(f"{self.title}: no files there")

    @cached_property
    def _files(self) -> dict[str, dict[str, object]]:
        return {name: info for name, info in find_files(self.url).items() if "/" not in name}

    def sizes(self) -> Mapping[str, int]:
        """Return name → bytes of every top-level file, as the store lists them."""
        return {name: file_size(info) for name, info in self._files.items()}

    def read(self, name: str) -> bytes:
        """Return the contents of a whole file, read from the store.

        Args:
            name: a file that `sizes` lists.

        Raises:
            StorageError: it cannot be read.
        """
        return self.piece(name, 0, file_size(self._files[name]))

    def piece(self, name: str, start: int, stop: int) -> bytes:
        """Return some bytes of a file, by a ranged read.

        Args:
            name: a file that `sizes` lists.
            start: offset of the first byte.
            stop: offset after the last byte; the result ends with the file if that is sooner.

        Raises:
            StorageError: they cannot be read.
        """
        fs, stripped = open_fs(self.url)
        path = join(stripped, name)
        stop = min(stop, file_size(self._files[name]))
        if start >= stop:
            return b""
        return bytes(with_retries(join(self.url, name), lambda: fs.cat_file(path, start=start, end=stop)))

    def checksums(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return name → checksum that the store has, or else the SHA-256 of the content, which is read for it.

        Args:
            names: files that `sizes` lists.

        Raises:
            StorageError: a file without a checksum cannot be read.
        """
        return {name: _checksum(self._files[name]) or self._content_hash(name) for name in names}

    def loadable(self) -> tuple[str, str | None]:
        """Return the path of a local copy of the small files, and None, as folders have no revisions."""
        return copy_to_node(self.url, weights=False), None

    def _content_hash(self, name: str) -> str:
        """SHA-256, read through; remembered as long as the store reports the same details."""
        info = {key: str(value) for key, value in sorted(self._files[name].items())}
        key = hashlib.sha256(repr((self.url, info)).encode()).hexdigest()
        memory = cache_folder() / "remote-sha256" / f"{key}.json"
        is_dated = any(word in key for key in info for word in ("mtime", "modif", "created", "version"))
        remembered = read_cached(memory).get("sha256") if is_dated else None
        if remembered:
            return f"sha256:{remembered}"
        hasher = hashlib.sha256()
        size = file_size(self._files[name])
        for start in range(0, size, _CHUNK_BYTES):
            hasher.update(self.piece(name, start, min(start + _CHUNK_BYTES, size)))
        write_cached(memory, {"sha256": hasher.hexdigest()})
        return f"sha256:{hasher.hexdigest()}"


def _checksum(info: Mapping[str, object]) -> str | None:
    settings = info.get("content_settings")  # of Azure
    for key in _CHECKSUMS:
        value = info.get(key) or (settings.get(key) if isinstance(settings, Mapping) else None)
        if value:
            return f"{key.lower()}:{bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value}"
    return None


def copy_to_node(url: str, weights: bool = True) -> str:
    """Copy a remote model folder to this node, unless an unchanged copy is there; other processes wait for the lock.

    Args:
        url: fsspec URL of the folder.
        weights: also the weights; else only what a tokenizer and a configuration are read from.

    Returns:
        Path of the local folder, in the cache of `model.cache`.

    Raises:
        ConfigError: there are no files at the URL, or the cache cannot be written to.
        StorageError: they cannot be read.
    """
    source = RemoteFolder(url)
    folder = cache_folder() / "models" / hashlib.sha256(source.url.encode()).hexdigest()[:16]
    if not weights:
        folder = folder.with_name(folder.name + "-small")
    names = list(source.sizes())
    if not weights:
        heavy = set(weight_files(names, source.read))
        names = [name for name in names if name not in heavy]
    try:
        with locked(folder.with_suffix(".lock")):
            _copy(source, folder, source.checksums(names))
    except OSError as error:
        raise ConfigError(
            f"{source.title}: cannot be copied to this machine ({error}); UNINER_DIST_CACHE names the folder for copies"
        ) from error
    return str(folder)


def _copy(source: RemoteFolder, folder: Path, checksums: Mapping[str, str]) -> None:
    fs, stripped = open_fs(source.url)
    notes, sizes = dict(read_cached(folder / _NOTES)), source.sizes()
    folder.mkdir(parents=True, exist_ok=True)
    for gone in [path for path in folder.iterdir() if path.name not in checksums and path.name != _NOTES]:
        gone.unlink()  # the engine takes every file of weights that it finds
    for name, checksum in checksums.items():
        target = folder / name
        if notes.get(name) == checksum and target.is_file() and target.stat().st_size == sizes[name]:
            continue
        unfinished = target.with_name(f".{name}.part")
        with_retries(join(source.url, name), partial(fs.get_file, join(stripped, name), str(unfinished)))
        unfinished.replace(target)
        notes[name] = checksum
        write_cached(folder / _NOTES, notes)
