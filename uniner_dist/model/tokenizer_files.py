"""The files that a model's tokenizer is built from, read once.

Returns bytes and settings; a file that is cut off or of another kind is a `ConfigError`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.model.sentencepiece_bpe import LlamaSettings, is_sentencepiece
from uniner_dist.model.source import ModelSource

JSON, MODEL = "tokenizer.json", "tokenizer.model"
_CONFIG, _ADDED = "tokenizer_config.json", "added_tokens.json"
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class TokenizerFiles:
    """Contents of the files; None where there is no such file.

    Args:
        title: how messages name the model.
        json: `tokenizer.json`.
        model: `tokenizer.model`.
        config: `tokenizer_config.json`.
        added: `added_tokens.json`.
    """

    title: str
    json: bytes | None
    model: bytes | None
    config: bytes | None
    added: bytes | None

    @cached_property
    def digest(self) -> str:
        """Digest of all bytes of the files."""
        contents = (self.json, self.model, self.config, self.added)
        return hashlib.sha256(repr([one and hashlib.sha256(one).hexdigest() for one in contents]).encode()).hexdigest()


def read_tokenizer_files(source: ModelSource) -> TokenizerFiles:
    """Return the contents of the files as they are.

    Args:
        source: the model's files.

    Raises:
        ConfigError: one cannot be read, or is a Git LFS pointer.
    """
    names = source.sizes()
    contents = [source.read(name) if name in names else None for name in (JSON, MODEL, _CONFIG, _ADDED)]
    for name, content in zip((JSON, MODEL, _CONFIG, _ADDED), contents, strict=True):
        if content is not None and content.startswith(_LFS):
            raise ConfigError(f"{source.title}: {name} is a Git LFS pointer; fetch the file itself (git lfs pull)")
    return TokenizerFiles(source.title, *contents)


def decode_json(title: str, content: bytes) -> tuple[str, dict[str, object]]:
    """Return a `tokenizer.json` as text and as a parsed tree.

    Args:
        title: how messages name the model.
        content: bytes of the file.

    Raises:
        ConfigError: it is no `tokenizer.json`, or cut off.
    """
    try:
        text = content.decode()
        tree = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{title}: tokenizer.json is cut off or no JSON ({error})") from error
    if not isinstance(tree, dict) or "model" not in tree:
        raise ConfigError(f"{title}: tokenizer.json is not a tokenizer of the tokenizers library")
    return text, tree


def sentencepiece_of(files: TokenizerFiles) -> bytes | None:
    """Return the bytes of the `tokenizer.model` if it is one of sentencepiece, else None.

    Llama 3's file of the same name is a list of ranks.

    Args:
        files: the files of one model.

    Raises:
        ConfigError: it is neither, and there is no `tokenizer.json` to use instead.
    """
    if files.model is None or is_sentencepiece(files.model):
        return files.model
    if files.json is None and not _is_ranks(files.model):
        raise ConfigError(f"{files.title}: tokenizer.model is cut off, or no sentencepiece model")
    return None


def tokenizer_config(files: TokenizerFiles) -> Mapping[str, Any]:
    """Return the `tokenizer_config.json`; empty where there is none.

    Args:
        files: the files of one model.

    Raises:
        ConfigError: it is no JSON object, or cut off.
    """
    return _settings_file(files.title, _CONFIG, files.config)


def llama_settings(files: TokenizerFiles) -> LlamaSettings:
    """Return how a Llama tokenizer is configured; what is missing is as it was in 2023.

    Args:
        files: the files of one model, of which `tokenizer_config.json` and `added_tokens.json` count.

    Raises:
        ConfigError: one of the two is no JSON object, or its added tokens are not names and numbers.
    """
    own = tokenizer_config(files)
    try:
        added = {str(token): int(number) for token, number in _settings_file(files.title, _ADDED, files.added).items()}
        for number, token in (own.get("added_tokens_decoder") or {}).items():
            added.setdefault(str(token["content"] if isinstance(token, dict) else token), int(number))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{files.title}: the added tokens of its tokenizer are not names and numbers") from error
    return LlamaSettings(
        legacy=own.get("legacy") is not False,
        add_bos=own.get("add_bos_token") is not False,
        blank_first=own.get("add_prefix_space") is not False,
        added=added,
    )


def _settings_file(title: str, name: str, content: bytes | None) -> Mapping[str, Any]:
    if content is None:
        return {}
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{title}: {name} is cut off or no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{title}: {name} is not a JSON object")
    return value


def _is_ranks(content: bytes) -> bool:
    """Whether lines are a token in base64 and its rank, as tiktoken stores them."""
    first, _, rank = content.split(b"\n", 1)[0].strip().partition(b" ")
    return bool(first) and rank.isdigit()
