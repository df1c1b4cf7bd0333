"""Model identities and tokenizers of earlier versions, to decide which of their stored answers may be used.

Returns the earlier identity of the configured model and, where it is certain, the earlier tokenizer. Identities
of folders were made of samples, so one name may be that of several models: `is_exact` says where that cannot be.
"""

from __future__ import annotations

import hashlib
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version

from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import cache_folder, read_cached, write_cached
from uniner_dist.model.identity import pinned
from uniner_dist.model.source import ModelSource, is_hub_name, open_source

_SAMPLE_BYTES = 1 << 20
#: No file of a tokenizer is larger.
_LARGEST_BYTES = 32 << 20
_NAMES = ("config.json", "tokenizer.json", "tokenizer.model", "added_tokens.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def earlier_identity(config: ModelConfig) -> str:
    """Return the identity of earlier versions: hub name and commit, or a hash over heads and tails of a folder's files.

    Args:
        config: the model; of a hub name with no full commit, the commit is looked up.

    Raises:
        ConfigError: there is no such model, or its commit cannot be found out.
    """
    if is_hub_name(config.name):
        return f"{config.name}@{pinned(config).revision}"
    source = open_source(config)
    hasher = hashlib.sha256()
    for name in [name for name in _NAMES if name in source.sizes()] + _weights(source):
        size = source.sizes()[name]
        hasher.update(name.encode())
        hasher.update(size.to_bytes(8, "little"))
        hasher.update(source.piece(name, 0, _SAMPLE_BYTES) or b"")
        if size > 2 * _SAMPLE_BYTES:
            hasher.update(source.piece(name, size - _SAMPLE_BYTES, size) or b"")
    return "sha256:" + hasher.hexdigest()[:32]


def is_exact(config: ModelConfig) -> bool:
    """Return whether no other weights can have the earlier identity: it names a commit, or the samples held all bytes.

    Args:
        config: the model.

    Raises:
        ConfigError: there is no such folder.
    """
    if config.name == "demo" or is_hub_name(config.name):
        return True
    source = open_source(config)
    return all(source.sizes()[name] <= _SAMPLE_BYTES for name in _weights(source))


def earlier_tokenizer_json(config: ModelConfig) -> str | None:
    """Return the `tokenizer.json` that earlier versions used; None where transformers can load none.

    A folder's own `tokenizer.json` was read as it is. Everything else went through transformers, whose version at the
    time is not known; the result of the installed one is the best guess, and only equality with it counts.

    Args:
        config: the model, and whether code that comes with it may be run.

    Raises:
        ConfigError: there is no such model, or a file of it cannot be read.
    """
    source = open_source(config)
    if not is_hub_name(config.name) and "tokenizer.json" in source.sizes():
        return source.read("tokenizer.json").decode()
    try:
        memory = cache_folder() / "tokenizers" / f"earlier-{_files_digest(source, config)}.json"
    except PackageNotFoundError:
        return None
    known = read_cached(memory).get("tokenizer")
    if isinstance(known, str):
        return known
    made = _by_transformers(source, config)  # which takes seconds to import
    if made is not None:
        write_cached(memory, {"tokenizer": made})
    return made


def _by_transformers(source: ModelSource, config: ModelConfig) -> str | None:
    place, revision = source.loadable()
    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=config.trust_remote_code)
        return str(tokenizer.backend_tokenizer.to_str())
    except (ConfigError, OSError, ValueError, ImportError, AttributeError, KeyError, TypeError):
        return None


def _files_digest(source: ModelSource, config: ModelConfig) -> str:
    """Digest of everything that decides how transformers loads a tokenizer.

    Raises:
        PackageNotFoundError: transformers is not installed.
    """
    names = [name for name, size in source.sizes().items() if size <= _LARGEST_BYTES]
    values = {
        "transformers": version("transformers"),
        "files": {name: hashlib.sha256(source.read(name)).hexdigest() for name in sorted(names)},
        "trust_remote_code": config.trust_remote_code,
    }
    return digest(values, 32)


def _weights(source: ModelSource) -> list[str]:
    return sorted(name for name in source.sizes() if any(fnmatch(name, pattern) for pattern in _WEIGHTS))
