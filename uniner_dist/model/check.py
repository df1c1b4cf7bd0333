"""All checks of a model that need nothing to be started.

Checks the configured model against the questions and some texts of the corpus. Returns the tokenizer, ready to use, or
raises one `ConfigError`. Imports neither Spark nor Ray nor vLLM.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.template import Template, get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model.cache import remember, remembered
from uniner_dist.model.form import check_form, read_config
from uniner_dist.model.reference import check_against_sentencepiece
from uniner_dist.model.source import open_source
from uniner_dist.model.tokenizer import ModelTokenizer, load_tokenizer

_FACTS = "checked-tokenizers"


def check_model(
    config: ModelConfig,
    questions: Sequence[str] = (),
    texts: Sequence[str] = (),
    gpus: int = 0,
    extra: Mapping[str, object] | None = None,
) -> PromptTokenizer:
    """Check a model's form and compare its tokenizer with sentencepiece, where the model has a `tokenizer.model`.

    Args:
        config: name, revision, template and quantization of the model.
        questions: all that will be asked; without any the tokenizer is tried with built-in ones only.
        texts: the corpus's first texts, to try the tokenizer with; may be empty.
        gpus: GPUs of one replica; 0 means a CPU.
        extra: further arguments of the engine (`engine.extra`), some of which change what is checked; None for none.

    Returns:
        The tokenizer of prompts, ready to use.

    Raises:
        ConfigError: with every problem found.
    """
    source = open_source(config)
    check_form(source, gpus, config.quantization, extra)
    loaded, template = load_tokenizer(source, config), get_template(config.template)
    try:
        tokenizer = PromptTokenizer.from_json(loaded.json, template)
        rows = read_config(source).get("vocab_size")
        key = _key(loaded, template, rows, texts, questions)
        if key not in remembered(_FACTS):
            _check_tokenizer(tokenizer, loaded, template, rows, texts, questions)
            remember(_FACTS, {key: 1})
    except ConfigError as error:
        raise ConfigError([f"{source.title}: {problem}" for problem in error.problems]) from error
    return tokenizer


def _key(loaded: ModelTokenizer, template: Template, rows: Any, texts: Sequence[str], questions: Sequence[str]) -> str:
    """Cache key of everything that decides the result: a check that passed is not repeated."""
    libraries = [version(name) for name in ("tokenizers", "sentencepiece", "uniner-dist")]
    values = [libraries, loaded.digest, loaded.reference_digest, asdict(template), rows, list(texts), list(questions)]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _check_tokenizer(
    tokenizer: PromptTokenizer,
    loaded: ModelTokenizer,
    template: Template,
    rows: Any,
    texts: Sequence[str],
    questions: Sequence[str],
) -> None:
    tree = json.loads(loaded.json)
    if loaded.sentencepiece is not None:
        check_against_sentencepiece(
            tokenizer, loaded.sentencepiece, loaded.settings, template, texts, questions, _added_spellings(tree)
        )
    _check_vocabulary(tree, rows)


def _added_spellings(tree: Mapping[str, Any]) -> list[str]:
    """A text for each added token, with its spelling in it."""
    tokens = [str(token["content"]) for token in tree.get("added_tokens") or ()]
    return [f"a {token} b{token}" for token in tokens[:64]]


def _check_vocabulary(tree: Mapping[str, Any], rows: Any) -> None:
    """Check that every piece has a row in the weights; tokens added later need none, as no text gives them."""
    added = {token["content"] for token in tree.get("added_tokens") or ()}
    vocabulary = tree["model"].get("vocab") or {}
    numbered = vocabulary.items() if isinstance(vocabulary, dict) else ((one[0], n) for n, one in enumerate(vocabulary))
    last = max((number for piece, number in numbered if piece not in added), default=0)
    if isinstance(rows, int) and last >= rows:
        raise ConfigError(
            f"its tokenizer has pieces up to number {last:,}, its weights have {rows:,} (vocab_size in "
            "config.json); one of the two belongs to another model"
        )
