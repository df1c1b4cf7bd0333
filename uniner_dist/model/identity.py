"""The model as files: where it is, what identifies its weights, its tokenizer, its licence.

Enters: the configured name ("demo", a Hugging Face name, a local folder, or a folder on any fsspec path). Leaves: a
local folder or hub name that vLLM can load, and an identity for the fingerprint. Never loads weights.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uniner_dist import demo
from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import find_files, is_local, join, open_fs

#: Sampled from head and tail of each weight file for its identity; reading 13 GB to name a model takes a minute.
_SAMPLE_BYTES = 1 << 20
_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
_NON_COMMERCIAL = "CC BY-NC 4.0 (and the terms of LLaMA): not for commercial use; the annotations carry this licence"


def resolve(config: ModelConfig) -> str:
    """A folder of this machine, or a hub name, that holds the model; remote folders are copied once per node.

    Raises:
        ConfigError: there is no model at that place.
    """
    if config.name == "demo":
        return str(demo.model_path())
    if is_hub_name(config.name):
        return config.name
    fs, stripped = open_fs(config.name)
    folder = stripped if is_local(fs) else _cache(config.name)
    if not os.path.exists(os.path.join(folder, "config.json")):
        raise ConfigError(
            f"model {config.name}: no config.json there; give a Hugging Face name or a folder in its format"
        )
    return str(folder)


def is_hub_name(name: str) -> bool:
    """Whether a name such as Universal-NER/UniNER-7B-all means the Hugging Face hub (a local folder goes first)."""
    return bool(_HUB_NAME.match(name)) and not os.path.isdir(name)


def identify(config: ModelConfig) -> str:
    """What names the weights wherever they lie: hub name and commit, or a hash of the folder's files. Never a path."""
    place = resolve(config)
    if is_hub_name(place):
        return f"{place}@{_hub_commit(config)}"
    return "sha256:" + _hash_folder(Path(place))


def display_name(config: ModelConfig) -> str:
    """How annotations name the model: hub name, or last part of the folder's path."""
    if config.name == "demo":
        return "uniner-dist-demo"
    return config.name if is_hub_name(config.name) else config.name.rstrip("/").rsplit("/", 1)[-1]


def licence(config: ModelConfig) -> str:
    """Licence of the weights, which their answers inherit."""
    if config.name == "demo":
        return "Apache-2.0 (demonstration checkpoint of this project)"
    if "uniner" in config.name.lower():
        return _NON_COMMERCIAL
    return "see the model's card"


def load_tokenizer_json(config: ModelConfig) -> str:
    """The fast tokenizer's JSON; a model that only has tokenizer.model is converted by transformers.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    place = resolve(config)
    own = Path(place) / "tokenizer.json"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    try:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(
            place, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
        return str(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # transformers raises many kinds for a missing, gated or broken tokenizer
        raise ConfigError(f"model {config.name}: its tokenizer cannot be loaded: {error}") from error


def context_length(config: ModelConfig) -> int:
    """Tokens a prompt and its answer may take: the configured context, or the model's own if that is smaller."""
    place = Path(resolve(config)) / "config.json"
    if not place.is_file():
        return config.max_model_len
    own = json.loads(place.read_text(encoding="utf-8")).get("max_position_embeddings")
    return min(config.max_model_len, int(own)) if own else config.max_model_len


def _hub_commit(config: ModelConfig) -> str:
    """The commit behind the revision: from the local cache when it is there, else from the hub."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    cached = try_to_load_from_cache(config.name, "config.json", revision=config.revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    if config.revision and re.fullmatch(r"[0-9a-f]{40}", config.revision):
        return config.revision
    try:
        return str(HfApi().model_info(config.name, revision=config.revision, timeout=20).sha)
    except Exception as error:  # any network or hub failure: the user must decide, we do not guess
        raise ConfigError(
            f"model {config.name}: the hub cannot be asked for its commit ({error}); "
            "download it first, give a local folder, or pin model.revision to a full commit"
        ) from error


def _hash_folder(folder: Path) -> str:
    hasher = hashlib.sha256()
    names = ("config.json", "tokenizer.json", "tokenizer.model", "added_tokens.json")
    weights = sorted(path for pattern in ("*.safetensors", "pytorch_model*.bin") for path in folder.glob(pattern))
    for path in [folder / name for name in names if (folder / name).is_file()] + weights:
        hasher.update(path.name.encode())
        hasher.update(path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb") as stream:
            hasher.update(stream.read(_SAMPLE_BYTES))
            if path.stat().st_size > 2 * _SAMPLE_BYTES:
                stream.seek(-_SAMPLE_BYTES, os.SEEK_END)
                hasher.update(stream.read())
    return hasher.hexdigest()[:32]


def _cache(url: str) -> str:
    """Local copy of a remote model folder, made once per node; others wait for the lock."""
    root = Path(os.environ.get("UNINER_DIST_CACHE", "~/.cache/uniner-dist")).expanduser() / "models"
    folder = root / hashlib.sha256(url.encode()).hexdigest()[:16]
    with _locked(folder.with_suffix(".lock")):
        files = find_files(url)
        if not files:
            raise ConfigError(f"model {url}: no files there")
        fs, stripped = open_fs(url)
        for name, info in files.items():
            target = folder / name
            if target.is_file() and target.stat().st_size == info["size"]:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".part")
            fs.get_file(join(stripped, name), str(partial))
            partial.replace(target)
    return str(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
