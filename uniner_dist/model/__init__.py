"""The model as files: where it is, what form it has, its tokenizer, what identifies it. Never loads weights."""

from uniner_dist.model.card import display_name, licence
from uniner_dist.model.identity import context_length, identify, pinned, resolve
from uniner_dist.model.source import is_hub_name, open_source
from uniner_dist.model.tokenizer import load_tokenizer_json

__all__ = [
    "context_length",
    "display_name",
    "identify",
    "is_hub_name",
    "licence",
    "load_tokenizer_json",
    "open_source",
    "pinned",
    "resolve",
]
