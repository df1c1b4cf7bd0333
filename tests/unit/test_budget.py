"""How many tokens a passage may have: enough room for the question, and the same whatever is asked."""

from __future__ import annotations

from typing import Any

import pytest

from uniner_dist import model
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.prompts.budget import MIN_PASSAGE_TOKENS, passage_budget


def _config(types: Any, **of_model: int) -> Config:
    return validate_tree({"corpus": {"path": "/c"}, "output": {"path": "/o"}, "types": types, "model": of_model})


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    config = _config("person").model
    return PromptTokenizer.from_json(model.load_tokenizer_json(config), get_template(config.template))


def _longest(tokenizer: PromptTokenizer, config: Config) -> int:
    return max(len(tokenizer.suffix_ids(entity_type.ask)) for entity_type in config.types)


def test_a_longer_phrase_leaves_the_budget_of_all_types_as_it_was(tokenizer: PromptTokenizer) -> None:
    short = _config(["person"])
    definition = "a person that is named by a proper name, a title or a pseudonym, such as in novels and letters"
    long = _config(["person", {"label": "P", "ask": definition}])
    assert _longest(tokenizer, long) > _longest(tokenizer, short) + 10
    assert passage_budget(long, tokenizer) == passage_budget(short, tokenizer)


def test_every_question_and_answer_fits_the_context(tokenizer: PromptTokenizer) -> None:
    frame = len(tokenizer.prefix_ids([""])[0])
    for words in (1, 20, 80, 160, 320):
        for context in (512, 1024, 2048):
            config = _config([{"label": "x", "ask": "word " * words}], max_model_len=context, max_tokens=64)
            whole, longest = passage_budget(config, tokenizer).whole, _longest(tokenizer, config)
            room = context - 64 - frame - 2 - longest
            assert whole <= room
            assert whole >= min(room, MIN_PASSAGE_TOKENS), "what was possible before is not refused now"
