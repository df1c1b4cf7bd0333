"""Everything that can be found wrong with a model before anything is started, in one place.

Enters: the configured model, the questions, and some texts of the corpus. Leaves: the tokenizer, ready to use, or one
`ConfigError`. Neither Spark nor Ray nor vLLM is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model.form import check_form, read_config
from uniner_dist.model.reference import check_against_sentencepiece
from uniner_dist.model.source import open_source
from uniner_dist.model.tokenizer import load_tokenizer


def check_model(
    config: ModelConfig,
    questions: Sequence[str] = (),
    texts: Sequence[str] = (),
    gpus: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> PromptTokenizer:
    """Look at a model's form and compare its tokenizer with sentencepiece, where the model has a `tokenizer.model`.

    Args:
        questions: all that will be asked.
        texts: the corpus's first.
        gpus: of one replica; 0 means a CPU.
        extra: further arguments of the engine.

    Raises:
        ConfigError: with every problem found.
    """
    source = open_source(config)
    check_form(source, gpus, config.quantization, extra)
    loaded = load_tokenizer(source, config)
    template, tree = get_template(config.template), json.loads(loaded.json)
    try:
        tokenizer = PromptTokenizer.from_json(loaded.json, template)
        if loaded.sentencepiece is not None:
            check_against_sentencepiece(
                tokenizer, loaded.sentencepiece, loaded.settings, template, texts, questions, _added_spellings(tree)
            )
    except ConfigError as error:
        raise ConfigError([f"{source.title}: {problem}" for problem in error.problems]) from error
    _check_vocabulary(tree, read_config(source), source.title)
    return tokenizer


def _added_spellings(tree: Mapping[str, Any]) -> list[str]:
    """A text for each added token, with its spelling in it."""
    tokens = [str(token["content"]) for token in tree.get("added_tokens") or ()]
    return [f"a {token} b{token}" for token in tokens[:64]]


def _check_vocabulary(tree: Mapping[str, Any], config: Mapping[str, Any], title: str) -> None:
    """Every piece of text has a row in the weights; tokens that were added later need none, as no text gives them."""
    rows = config.get("vocab_size")
    added = {token["content"] for token in tree.get("added_tokens") or ()}
    vocabulary = tree["model"].get("vocab") or {}
    numbered = vocabulary.items() if isinstance(vocabulary, dict) else ((one[0], n) for n, one in enumerate(vocabulary))
    last = max((number for piece, number in numbered if piece not in added), default=0)
    if isinstance(rows, int) and last >= rows:
        raise ConfigError(
            f"{title}: its tokenizer has pieces up to number {last:,}, its weights have {rows:,} (vocab_size in "
            "config.json); one of the two belongs to another model"
        )
