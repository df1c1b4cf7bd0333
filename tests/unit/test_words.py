"""Tokens found word by word stand where tokenising the whole text puts them, and each word is tokenised once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers

from tests.support.tokenizer_factory import CORPUS, byte_level_json, llama_json
from uniner_dist.core import words
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import SAMPLES, PromptTokenizer
from uniner_dist.core.words import WordSpans, whole_spans

TEXTS = [text for text, _ in SAMPLES]
TOKENIZERS = {
    "llama_legacy": Tokenizer.from_str(llama_json(legacy=True)),
    "llama": Tokenizer.from_str(llama_json(legacy=False)),
    "byte_level": Tokenizer.from_str(byte_level_json()),
    "byte_level_prefix_space": Tokenizer.from_str(byte_level_json(add_prefix_space=True)),
}
WORD_SPANS = {kind: WordSpans(tokenizer, TEXTS) for kind, tokenizer in TOKENIZERS.items()}
PIECES = st.sampled_from(
    [
        "Marie",
        "Curie.",
        "'s",
        '"a",',
        "end!\n",
        " \n",
        "  ",
        "\t",
        "\u00a0",
        "東京都",
        "👩‍💻",
        "\u0301",
        "x" * 40,
        "▁a",
        "3.14",
    ]
)
TEXT = st.lists(st.one_of(PIECES, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), max_size=30)


class Counting:
    """A tokenizer that counts the characters it is given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.characters_seen = 0

    def get_added_tokens_decoder(self) -> Any:
        return self.tokenizer.get_added_tokens_decoder()

    def encode(self, text: str, **options: Any) -> Any:
        self.characters_seen += len(text)
        return self.tokenizer.encode(text, **options)


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@given(pieces=TEXT, glue=st.sampled_from(["", " "]))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_spans_by_word_are_those_of_the_whole_text(kind: str, pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)
    assert WORD_SPANS[kind].exact
    assert np.array_equal(WORD_SPANS[kind](text), whole_spans(TOKENIZERS[kind], text))


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@pytest.mark.parametrize("text", ["<s> Marie", "Marie </s> Curie <s> Paul.", "a<unk> b", "<|endoftext|> Marie"])
def test_what_looks_like_a_special_token_changes_no_span(kind: str, text: str) -> None:
    assert np.array_equal(WORD_SPANS[kind](text), whole_spans(TOKENIZERS[kind], text))


def test_a_word_is_tokenised_once() -> None:
    counting = Counting(TOKENIZERS["llama"])
    spans = WordSpans(counting, [])  # type: ignore[arg-type]
    text = "Marie Curie was born in Warsaw. " * 500
    first = spans(text)
    assert counting.characters_seen < 100
    assert np.array_equal(first, spans(text))
    assert counting.characters_seen < 120
    assert np.array_equal(first, whole_spans(TOKENIZERS["llama"], text))


def test_neither_many_words_nor_long_ones_are_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MAX_WORDS", 100)
    counting = Counting(TOKENIZERS["llama"])
    spans = WordSpans(counting, [])  # type: ignore[arg-type]
    for number in range(1000):
        spans(f"some {number} words")
    seen = counting.characters_seen
    spans("some 5 words")  # of these, the number is one of long ago
    assert seen + 4 < counting.characters_seen < seen + 12
    seen = counting.characters_seen
    for _ in range(2):
        spans("some " + "x" * 100)
    assert counting.characters_seen > seen + 200


def test_a_tokenizer_whose_tokens_reach_across_spaces_is_given_whole_texts() -> None:
    across = Tokenizer(models.BPE())
    across.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, show_progress=False))
    assert not WordSpans(across, TEXTS).exact
    across.add_special_tokens(["<s>", "</s>"])
    tokenizer = PromptTokenizer.from_json(across.to_str(), get_template("ie_as_qa"))
    text = "Marie Curie was born in Warsaw."
    assert np.array_equal(tokenizer.token_spans(text), whole_spans(across, text))
