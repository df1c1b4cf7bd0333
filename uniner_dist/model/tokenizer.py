"""A model's tokenizer as the JSON of the `tokenizers` library: the one it was trained with, not what a library makes.

Enters: a model's files. Leaves: the repository's own `tokenizer.json`, else its `tokenizer.model` converted here; only
what has neither is left to transformers. Hub names, remote and local folders take the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import cache_folder, read_cached, write_cached
from uniner_dist.model.sentencepiece_bpe import LlamaSettings, convert, is_sentencepiece
from uniner_dist.model.source import ModelSource, open_source

_JSON, _MODEL, _CONFIG, _ADDED = "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json"
#: Classes whose `add_bos_token` counts, and that begin with the BOS token unless it says no.
_LLAMA = ("LlamaTokenizer", "LlamaTokenizerFast", "LLaMATokenizer", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast")
_LFS = b"version https://git-lfs"
#: Raised when a conversion changes, so that none of an older version is taken from the cache.
_CONVERSION = 1


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

    @property
    def digest(self) -> str:
        """Changes with whatever may change an id; of a conversion, with what it was made from."""
        made_from = _conversion_key(self.sentencepiece, self.settings) if self.origin == _MODEL else self.json
        return hashlib.sha256(made_from.encode()).hexdigest()


def load_tokenizer_json(config: ModelConfig) -> str:
    """The tokenizer's JSON, as `load_tokenizer` finds it.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    return load_tokenizer(open_source(config), config).json


def load_tokenizer(source: ModelSource, config: ModelConfig) -> ModelTokenizer:
    """The tokenizer that the checkpoint was trained with.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    names = source.sizes()
    own = _settings_file(source, _CONFIG)
    settings = _settings(source, own)
    model = _read(source, _MODEL) if _MODEL in names else None
    if model is not None and not is_sentencepiece(model):
        model = None
    if _JSON in names:
        text, tree = _decoded(source, _read(source, _JSON))
        return ModelTokenizer(_as_configured(text, tree, own, model, settings), _JSON, model, settings)
    if model is not None:
        return ModelTokenizer(_converted(model, settings), _MODEL, model, settings)
    return ModelTokenizer(_by_transformers(source, config), "transformers", None, settings)


def _read(source: ModelSource, name: str) -> bytes:
    content = source.read(name)
    if content.startswith(_LFS):
        raise ConfigError(f"{source.title}: {name} is a Git LFS pointer; fetch the file itself (git lfs pull)")
    return content


def _decoded(source: ModelSource, content: bytes) -> tuple[str, dict[str, Any]]:
    """A `tokenizer.json` as text and as a tree, if it is JSON."""
    try:
        text = content.decode()
        tree = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{source.title}: tokenizer.json is cut off or no JSON ({error})") from error
    if not isinstance(tree, dict) or "model" not in tree:
        raise ConfigError(f"{source.title}: tokenizer.json is no tokenizer of the tokenizers library")
    return text, tree


def _settings_file(source: ModelSource, name: str) -> Mapping[str, Any]:
    """A JSON object beside the tokenizer; empty where the file is missing."""
    if name not in source.sizes():
        return {}
    try:
        value = json.loads(_read(source, name))
    except ValueError as error:
        raise ConfigError(f"{source.title}: {name} is cut off or no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{source.title}: {name} is no JSON object")
    return value


def _settings(source: ModelSource, own: Mapping[str, Any]) -> LlamaSettings:
    """How a Llama tokenizer is configured; what is missing is as it was in 2023."""
    added = {str(token): int(number) for token, number in _settings_file(source, _ADDED).items()}
    for number, token in (own.get("added_tokens_decoder") or {}).items():
        added.setdefault(str(token["content"] if isinstance(token, dict) else token), int(number))
    return LlamaSettings(
        legacy=own.get("legacy") is not False,
        add_bos=own.get("add_bos_token") is not False,
        blank_first=own.get("add_prefix_space") is not False,
        added=added,
    )


def _converted(content: bytes, settings: LlamaSettings) -> str:
    """The conversion of a `tokenizer.model`, remembered on this machine."""
    key = hashlib.sha256(_conversion_key(content, settings).encode()).hexdigest()
    memory = cache_folder() / "tokenizers" / f"{key}.json"
    remembered = read_cached(memory).get("tokenizer")
    if isinstance(remembered, str):
        return remembered
    made = convert(content, settings)
    write_cached(memory, {"tokenizer": made})
    return made


def _conversion_key(content: bytes | None, settings: LlamaSettings) -> str:
    digest = hashlib.sha256(content or b"").hexdigest()
    return json.dumps([_CONVERSION, digest, asdict(settings)], sort_keys=True)


def _as_configured(
    text: str, tree: dict[str, Any], own: Mapping[str, Any], model: bytes | None, settings: LlamaSettings
) -> str:
    """A `tokenizer.json` with what the files beside it say more strongly than it does itself.

    `add_bos_token` wins for Llama's classes, as in transformers 4; and what sentencepiece does not know as a piece does
    not come out of a text, whatever was added to the vocabulary later.
    """
    changed = model is not None and _guard_added(tree, model)
    if own.get("tokenizer_class") in _LLAMA or (model is not None and "tokenizer_class" not in own):
        said = own.get("add_bos_token")
        changed |= _configure_bos(tree, settings.add_bos, forced=isinstance(said, bool))
    return json.dumps(tree, ensure_ascii=False) if changed else text


def _guard_added(tree: dict[str, Any], model: bytes) -> bool:
    """Make tokens special that were added beyond the pieces of sentencepiece; returns whether any was not."""
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_proto=model).vocab_size()
    late = [token for token in tree.get("added_tokens") or () if token["id"] >= pieces and not token.get("special")]
    for token in late:
        token["special"] = True
    return bool(late)


def _configure_bos(tree: dict[str, Any], add_bos: bool, forced: bool) -> bool:
    """Let a text begin with `<s>` or not; returns whether that changed anything.

    Args:
        forced: the configuration says so; else it is only the default where the file itself says nothing.
    """
    number = next((token["id"] for token in tree.get("added_tokens") or () if token["content"] == "<s>"), None)
    begins = _begins_with_bos(tree.get("post_processor"))
    if number is None or begins == add_bos or (tree.get("post_processor") and not forced):
        return False
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [number], "tokens": ["<s>"]}},
    }
    tree["post_processor"] = template if add_bos else None
    return True


def _begins_with_bos(processor: Any) -> bool:
    if not processor:
        return False
    if processor.get("type") == "Sequence":
        return any(_begins_with_bos(one) for one in processor.get("processors") or ())
    first = (processor.get("single") or [{}])[0]
    return isinstance(first, dict) and first.get("SpecialToken", {}).get("id") == "<s>"


def _by_transformers(source: ModelSource, config: ModelConfig) -> str:
    """What transformers makes of a tokenizer that is of neither kind."""
    known = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.tiktoken", "spiece.model", _MODEL)
    has_any = any(name in source.sizes() for name in known) or config.trust_remote_code
    if not has_any and source.is_partial:
        return _decoded(source, source.read(_JSON))[0]  # mostly says that nobody has it
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
