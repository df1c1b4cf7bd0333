"""A model of the Hugging Face hub at one commit, read by `huggingface_hub` from its cache or the hub.

Resolves a name and a revision to the commit, and lists the repository's files with the hub's own hashes (SHA-256 of
large files, git's blob id of small ones). What the hub said of a commit is cached: a commit never changes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import cache_folder, read_cached, write_cached
from uniner_dist.model.file_hashes import sha256_of_files
from uniner_dist.model.weights import missing_weights

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 20.0


def hub_commit(name: str, revision: str | None) -> str:
    """Return the commit of a revision: as cached on this machine, else as the hub says.

    Args:
        name: repository on the hub, `<owner>/<name>`.
        revision: branch, tag or commit; None for the main branch. A full commit, 40 hex digits, is returned unchecked.

    Raises:
        ConfigError: neither the cache nor the hub can tell.
    """
    if revision and _COMMIT.fullmatch(revision):
        return revision
    cached = _commit_in_cache(name, revision or "main")
    if cached is not None:
        return cached
    try:
        from huggingface_hub import HfApi  # which takes 0.3 s

        return str(HfApi().model_info(name, revision=revision, timeout=_TIMEOUT_S).sha)
    except Exception as error:  # any network or hub failure: the user must decide, we do not guess
        raise ConfigError(
            f"model {name}: the hub cannot be asked for its commit ({_first_line(error)}); "
            "download it first, give a local folder, or pin model.revision to a full commit"
        ) from error


def _repository(name: str) -> Path:
    """Where huggingface_hub keeps a repository on this machine: `refs`, `snapshots`, `blobs`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / ("models--" + name.replace("/", "--"))


def _commit_in_cache(name: str, branch: str) -> str | None:
    """The commit of a branch or tag, if a snapshot of it is in this machine's cache."""
    repository = _repository(name)
    try:
        commit = (repository / "refs" / branch).read_text().strip()
    except (OSError, ValueError):
        return None
    known = _COMMIT.fullmatch(commit) and (repository / "snapshots" / commit / "config.json").is_file()
    return commit if known else None


class HubModel:
    """One commit of a repository."""

    def __init__(self, name: str, revision: str | None) -> None:
        self._name = name
        self.commit = hub_commit(name, revision)
        self.title = f"model {name}"

    @property
    def is_partial(self) -> bool:
        """True when only this machine's cache tells which files there are."""
        return self._listing is None

    def sizes(self) -> Mapping[str, int]:
        """Return name → bytes of every top-level file, as the hub lists them; offline, of the files in the cache."""
        if self._listing is None:
            return {name: path.stat().st_size for name, path in self._cached.items()}
        return {name: entry.size for name, entry in self._listing.items()}

    def read(self, name: str) -> bytes:
        """Return the contents of a whole file, downloaded unless it is in the cache.

        Args:
            name: of a file at the repository's top level.

        Raises:
            ConfigError: it is not in the cache, and the hub does not give it.
        """
        if name in self._cached:
            return self._cached[name].read_bytes()
        try:
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(self._name, name, revision=self.commit)).read_bytes()
        except Exception as error:  # any network or hub failure
            raise ConfigError(
                f"{self.title}: {name} of commit {self.commit[:12]} is not in this machine's cache and the hub does "
                f"not give it ({_first_line(error)}); download the model first, or give a local folder"
            ) from error

    def piece(self, name: str, start: int, stop: int) -> bytes | None:
        """Return some bytes of a file in the cache; None for others, which are not downloaded for that.

        Args:
            name: of a file at the repository's top level.
            start: offset of the first byte.
            stop: offset after the last byte; the result ends with the file if that is sooner.
        """
        if name not in self._cached:
            return None
        with self._cached[name].open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)

    def checksums(self, names: Iterable[str]) -> Mapping[str, str] | None:
        """Return name → hash, as the hub has it: `sha256:` for large files, `git:` for small ones.

        Taken from the files in the cache if all are there, else from the hub's listing; None without either.

        Args:
            names: files that `sizes` lists.
        """
        wanted = list(names)
        if all(name in self._cached for name in wanted):
            return {name: self._hash_in_cache(name) for name in wanted}
        if self._listing is None:
            return None
        return {name: self._listing[name].hash for name in wanted}

    def loadable(self) -> tuple[str, str | None]:
        """Return the name on the hub, and the commit."""
        return self._name, self.commit

    @cached_property
    def _cached(self) -> dict[str, Path]:
        """Files of this commit in this machine's cache."""
        folder = _repository(self._name) / "snapshots" / self.commit
        return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()} if folder.is_dir() else {}

    @cached_property
    def _listing(self) -> Mapping[str, _Listed] | None:
        """Every file as the hub has it; None where it cannot be asked."""
        if self._knows_tokenizer and not missing_weights(list(self._cached), self.read):
            cached = self._cached.items()
            return {name: _Listed(path.stat().st_size, self._hash_in_cache(name)) for name, path in cached}
        memory = cache_folder() / "hub" / f"{self._name.replace('/', '--')}@{self.commit}.json"
        remembered = {name: _Listed.of(one) for name, one in read_cached(memory).items()}
        if remembered:
            return remembered
        asked = _ask_hub(self._name, self.commit)
        if asked is not None:
            write_cached(memory, {name: asdict(one) for name, one in asked.items()})
        return asked

    @property
    def _knows_tokenizer(self) -> bool:
        """Whether the cache has the `tokenizer.json`, or a note that the repository has none."""
        absent = _repository(self._name) / ".no_exist" / self.commit / "tokenizer.json"
        return "tokenizer.json" in self._cached or ("tokenizer.model" in self._cached and absent.is_file())

    def _hash_in_cache(self, name: str) -> str:
        """The hub's hash by which the cache names its blobs; of a file that is no link to a blob, its own SHA-256."""
        path = self._cached[name]
        blob = os.path.basename(os.path.realpath(path))
        if blob != name and re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", blob):
            return ("sha256:" if len(blob) == 64 else "git:") + blob
        return "sha256:" + sha256_of_files([path])[path]


@dataclass(frozen=True)
class _Listed:
    """Bytes of a file, and the hub's hash of it."""

    size: int
    hash: str

    @classmethod
    def of(cls, stored: object) -> _Listed:
        """From the cache."""
        known = stored if isinstance(stored, Mapping) else {}
        size = known.get("size")
        return cls(size if isinstance(size, int) else 0, str(known.get("hash", "")))


def _ask_hub(name: str, commit: str) -> Mapping[str, _Listed] | None:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return None
    try:
        from huggingface_hub import HfApi

        info = HfApi().model_info(name, revision=commit, files_metadata=True, timeout=_TIMEOUT_S)
    except Exception:  # offline, or a hub that cannot be reached: the cache must do
        return None
    files = [file for file in info.siblings or () if "/" not in file.rfilename]
    hashes = {file.rfilename: f"sha256:{file.lfs.sha256}" if file.lfs else f"git:{file.blob_id}" for file in files}
    return {file.rfilename: _Listed(file.size or 0, hashes[file.rfilename]) for file in files}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
