"""Settings of the files next to a `tokenizer.json` that take precedence over its own. Pure: works on parsed trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Classes whose `add_bos_token` counts, and that begin with the BOS token unless it says no.
_LLAMA = ("LlamaTokenizer", "LlamaTokenizerFast", "LLaMATokenizer", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast")


def configure(tree: dict[str, Any], own: Mapping[str, Any], pieces: int | None) -> bool:
    """Change a parsed `tokenizer.json` in place to what the files next to it say.

    `add_bos_token` wins for Llama's classes, as in transformers 4; and what sentencepiece does not know as a piece does
    not come out of a text, whatever was added to the vocabulary later.

    Args:
        tree: the parsed `tokenizer.json`.
        own: the parsed `tokenizer_config.json`; empty if there is none.
        pieces: how many pieces sentencepiece knows; None where there is no `tokenizer.model` of its kind.

    Returns:
        Whether anything was changed.
    """
    changed = False
    known = _own_pieces(tree) if pieces is None else pieces
    if known is not None:
        changed |= _guard_added(tree, known)
    if own.get("tokenizer_class") in _LLAMA or (pieces is not None and "tokenizer_class" not in own):
        said = own.get("add_bos_token")
        changed |= _configure_bos(tree, said is not False, forced=isinstance(said, bool))
    return changed


def _own_pieces(tree: Mapping[str, Any]) -> int | None:
    """Pieces of a vocabulary that was made from sentencepiece's, which byte fallback tells; None for other kinds."""
    model = tree["model"]
    return len(model["vocab"]) if model.get("byte_fallback") and isinstance(model.get("vocab"), dict) else None


def _guard_added(tree: dict[str, Any], pieces: int) -> bool:
    """Make tokens special that were added beyond the pieces; returns whether any was not."""
    late = [token for token in tree.get("added_tokens") or () if token["id"] >= pieces and not token.get("special")]
    for token in late:
        token["special"] = True
    return bool(late)


def _configure_bos(tree: dict[str, Any], add_bos: bool, forced: bool) -> bool:
    """Set whether a text begins with `<s>`; returns whether that changed anything.

    Args:
        tree: the parsed `tokenizer.json`; its `post_processor` is replaced.
        add_bos: whether a text is to begin with `<s>`.
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
