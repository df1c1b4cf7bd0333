"""A model's tokenizer as the JSON of the `tokenizers` library: the one it was trained with, not what a library makes.

Returns the repository's own `tokenizer.json`, else its `tokenizer.model` converted here; only what has neither is left
to transformers. Hub names, remote and local folders are treated alike.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import cache_folder, read_cached, remember, remembered, write_cached
from uniner_dist.model.sentencepiece_bpe import LlamaSettings, convert
from uniner_dist.model.source import ModelSource, open_source
from uniner_dist.model.tokenizer_files import (
    JSON,
    MODEL,
    TokenizerFiles,
    decode_json,
    llama_settings,
    read_tokenizer_files,
    sentencepiece_of,
    tokenizer_config,
)
from uniner_dist.model.tokenizer_json import configure

#: Increased when a conversion changes, so that none of an older version is taken from the cache.
_CONVERSION = 1
#: What is remembered of the files of a tokenizer.
_FACTS, _BOTH_AS_THEY_ARE, _SENTENCEPIECE = "tokenizer-files", "as they are", "sentencepiece"


@dataclass(frozen=True)
class ModelTokenizer:
    """A tokenizer as used.

    Args:
        json: contents of a `tokenizer.json`.
        origin: what it was made from: `tokenizer.json`, `tokenizer.model` or `transformers`.
        sentencepiece: contents of the repository's `tokenizer.model`, to compare with; None where there is none.
        settings: how that is to be read.
    """

    json: str
    origin: str
    sentencepiece: bytes | None
    settings: LlamaSettings

    @cached_property
    def digest(self) -> str:
        """Digest that changes with whatever may change an id; of a conversion it covers what that was made from."""
        made_from = _conversion_key(self.sentencepiece, self.settings) if self.origin == MODEL else self.json
        return hashlib.sha256(made_from.encode()).hexdigest()

    @cached_property
    def reference_digest(self) -> str:
        """Digest that changes with whatever may change the ids that sentencepiece gives."""
        return hashlib.sha256(_conversion_key(self.sentencepiece, self.settings).encode()).hexdigest()


def load_tokenizer_json(config: ModelConfig) -> str:
    """Return the tokenizer's JSON, as `load_tokenizer` finds it.

    Args:
        config: name and revision of the model, and whether code that comes with it may be run.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    return load_tokenizer(open_source(config), config).json


def load_tokenizer(source: ModelSource, config: ModelConfig) -> ModelTokenizer:
    """Return the tokenizer that the checkpoint was trained with.

    Args:
        source: the model's files.
        config: the same model; decides only whether code that comes with it may be run.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    files = read_tokenizer_files(source)
    made = _from_files(files)
    if made is not None:
        return made
    return ModelTokenizer(_by_transformers(source, config), "transformers", None, llama_settings(files))


@lru_cache(maxsize=2)  # a command asks for it four times as it starts
def _from_files(files: TokenizerFiles) -> ModelTokenizer | None:
    """The tokenizer of a `tokenizer.json` or a `tokenizer.model`; None where there is neither.

    A start that finds the files of an earlier one neither parses the JSON nor loads sentencepiece.
    """
    key = f"{_CONVERSION}:{files.digest}"
    known = remembered(_FACTS).get(key)
    settings = llama_settings(files)
    if known == _BOTH_AS_THEY_ARE and files.json is not None:
        return ModelTokenizer(files.json.decode(), JSON, files.model, settings)
    model = files.model if known == _SENTENCEPIECE else sentencepiece_of(files)
    if files.json is not None:
        text, tree = decode_json(files.title, files.json)
        changed = configure(tree, tokenizer_config(files), None if model is None else _pieces(model))
        if not changed and model is files.model:
            remember(_FACTS, {key: _BOTH_AS_THEY_ARE})
        return ModelTokenizer(json.dumps(tree, ensure_ascii=False) if changed else text, JSON, model, settings)
    if model is not None:
        if known is None:
            remember(_FACTS, {key: _SENTENCEPIECE})
        return ModelTokenizer(_converted(model, settings), MODEL, model, settings)
    return None


def _pieces(model: bytes) -> int:
    from sentencepiece import SentencePieceProcessor

    return int(SentencePieceProcessor(model_proto=model).vocab_size())


def _converted(content: bytes, settings: LlamaSettings) -> str:
    """The conversion of a `tokenizer.model`, remembered on this machine."""
    key = hashlib.sha256(_conversion_key(content, settings).encode()).hexdigest()
    memory = cache_folder() / "tokenizers" / f"{key}.json"
    known = read_cached(memory).get("tokenizer")
    if isinstance(known, str):
        return known
    made = convert(content, settings)
    write_cached(memory, {"tokenizer": made})
    return made


def _conversion_key(content: bytes | None, settings: LlamaSettings) -> str:
    digest = hashlib.sha256(content or b"").hexdigest()
    return json.dumps([_CONVERSION, digest, asdict(settings)], sort_keys=True)


def _by_transformers(source: ModelSource, config: ModelConfig) -> str:
    """What transformers makes of a tokenizer that is of neither kind."""
    known = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.tiktoken", "spiece.model", MODEL)
    has_any = any(name in source.sizes() for name in known) or config.trust_remote_code
    if not has_any and source.is_partial:
        return decode_json(source.title, source.read(JSON))[0]  # mostly says that nobody has it
    if not has_any:
        raise ConfigError(f"{source.title}: has no tokenizer: neither tokenizer.json nor tokenizer.model is there")
    place, revision = source.loadable()
    try:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(
            place, revision=revision, trust_remote_code=config.trust_remote_code
        )
        return str(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # transformers raises many kinds for a missing, gated or broken tokenizer
        raise ConfigError(f"{source.title}: its tokenizer cannot be loaded: {error}") from error
