"""Access to a model's files: in a local folder, in a folder on any fsspec path, or in a repository of the hub.

A `ModelSource` lists the files, reads the small ones and gives checksums of the large ones. No weights are loaded, and
none are copied but by `copy_to_node`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from uniner_dist import demo
from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.model.file_hashes import sha256_of_files
from uniner_dist.storage.filesystem import is_local, open_fs

_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
#: The authors' models, the usual one first.
_MODELS = tuple(f"Universal-NER/UniNER-7B-{kind}" for kind in ("all", "type", "type-sup", "definition"))


class ModelSource(Protocol):
    """The top-level files of a model."""

    @property
    def title(self) -> str:
        """How messages name the model."""

    @property
    def is_partial(self) -> bool:
        """Whether files may exist that are not listed, as for a hub model in an offline cache."""

    def sizes(self) -> Mapping[str, int]:
        """Return name → bytes of every file."""

    def read(self, name: str) -> bytes:
        """Return the contents of a whole small file.

        Args:
            name: a file that `sizes` lists.

        Raises:
            ConfigError: it cannot be read.
            StorageError: it is in a remote folder and cannot be read.
        """

    def piece(self, name: str, start: int, stop: int) -> bytes | None:
        """Return some bytes of a large file; None where it would have to be downloaded for that.

        Args:
            name: a file that `sizes` lists.
            start: offset of the first byte.
            stop: offset after the last byte; the result ends with the file if that is sooner.
        """

    def checksums(self, names: Iterable[str]) -> Mapping[str, str] | None:
        """Return name → a value that changes with any byte of that file; None where no source can be asked.

        Args:
            names: files that `sizes` lists.
        """

    def loadable(self) -> tuple[str, str | None]:
        """Return what `transformers` reads configuration and tokenizer from, and the revision there.

        The first is a local folder or a hub name; the revision is None for a folder. No weights are copied.
        """


def open_source(config: ModelConfig) -> ModelSource:
    """Return access to the files that a configured name refers to.

    Args:
        config: name and revision of the model.

    Raises:
        ConfigError: the folder or repository does not exist, or the hub's commit cannot be found out.
    """
    if config.name == "demo":
        return LocalFolder(demo.model_path(), "model demo")
    title = f"model {config.name}"
    if is_hub_name(config.name):
        from uniner_dist.model.hub import HubModel

        return HubModel(config.name, config.revision)
    fs, stripped = open_fs(config.name)
    if is_local(fs):
        return LocalFolder(stripped, title)
    from uniner_dist.model.remote import RemoteFolder

    return RemoteFolder(config.name)


def is_hub_name(name: str) -> bool:
    """Return whether a name such as Universal-NER/UniNER-7B-all means the Hugging Face hub (a local folder goes first).

    Args:
        name: as in `model.name`: a name on the hub, a local path, or a URL.
    """
    return bool(_HUB_NAME.match(name)) and not os.path.isdir(name)


def _meant(folder: str) -> str:
    """Suggestion of what to give instead of a folder that does not exist."""
    name = folder.rstrip("/").rpartition("/")[2].casefold()
    near = [model for model in _MODELS if name and name in model.casefold()]
    return f"did you mean {near[0]}?" if near else "give a Hugging Face name or a folder in its format"


class LocalFolder:
    """A folder of this machine."""

    is_partial = False

    def __init__(self, folder: str, title: str) -> None:
        self._folder = Path(folder)
        self.title = title
        if not self._folder.is_dir():
            raise ConfigError(f"{title}: no config.json there, as there is no such folder; {_meant(folder)}")

    def sizes(self) -> Mapping[str, int]:
        """Return name → bytes of every top-level file; links are followed, dangling ones are left out."""
        return {path.name: path.stat().st_size for path in sorted(self._folder.iterdir()) if path.is_file()}

    def read(self, name: str) -> bytes:
        """Return the contents of a whole file.

        Args:
            name: of a file in the folder.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.title}: {name} cannot be read: {error.strerror or error}") from error

    def piece(self, name: str, start: int, stop: int) -> bytes | None:
        """Return some bytes of a file.

        Args:
            name: of a file in the folder.
            start: offset of the first byte.
            stop: offset after the last byte; the result ends with the file if that is sooner.

        Raises:
            ConfigError: they cannot be read.
        """
        try:
            with (self._folder / name).open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        except OSError as error:
            raise ConfigError(f"{self.title}: {name} cannot be read: {error.strerror or error}") from error

    def checksums(self, names: Iterable[str]) -> Mapping[str, str] | None:
        """Return name → `sha256:` and the SHA-256 of the file's content.

        All bytes are read unless the digest is cached.

        Args:
            names: files that `sizes` lists.

        Raises:
            ConfigError: one cannot be read, or is being written to.
        """
        digests = sha256_of_files(self._folder / name for name in names)
        return {path.name: f"sha256:{digest}" for path, digest in digests.items()}

    def loadable(self) -> tuple[str, str | None]:
        """Return the folder, and None, as it has no revisions."""
        return str(self._folder), None
