"""Answers as text: exact behind their prompt, whatever the tokenizer does with a first blank."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tokenizer_factory import byte_level_json, llama_json
from uniner_dist import demo
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer

TOKENIZERS = {
    "byte_level": byte_level_json(),
    "llama_legacy": llama_json(legacy=True),
    "llama": llama_json(legacy=False),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def decoder(name: str) -> tuple[AnswerDecoder, PromptTokenizer]:
    prompts = PromptTokenizer.from_json(TOKENIZERS[name], get_template("ie_as_qa"))
    return AnswerDecoder(TOKENIZERS[name], anchor=prompts.suffix_ids("person")[-1]), prompts


DECODERS = {name: decoder(name) for name in TOKENIZERS}


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(answer=TEXT)
def test_an_answer_decodes_to_what_was_written_behind_the_prompt(name: str, answer: str) -> None:
    from tokenizers import Tokenizer

    decoding, _ = DECODERS[name]
    tokenizer = Tokenizer.from_str(TOKENIZERS[name])
    tokenizer.encode_special_tokens = True
    question = "in the text? ASSISTANT:"
    before = tokenizer.encode(question, add_special_tokens=False).ids
    whole = tokenizer.encode(question + " " + answer, add_special_tokens=False).ids
    if whole[: len(before)] != before:
        return  # the answer's first character merged into the question: no model output looks like that
    assert decoding.texts([whole[len(before) :]]) == [tokenizer.decode(whole)[len(tokenizer.decode(before)) :]]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(answer=TEXT)
def test_the_texts_of_the_tokens_join_to_the_answer(name: str, answer: str) -> None:
    from tokenizers import Tokenizer

    decoding, _ = DECODERS[name]
    ids = Tokenizer.from_str(TOKENIZERS[name]).encode(answer, add_special_tokens=False).ids
    pieces = decoding.token_texts(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == decoding.texts([ids])[0]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_end_of_turn_adds_nothing(name: str) -> None:
    from tokenizers import Tokenizer

    decoding, prompts = DECODERS[name]
    tokenizer = Tokenizer.from_str(TOKENIZERS[name])
    ids = tokenizer.encode(' ["Ada"]', add_special_tokens=False).ids
    assert decoding.texts([[*ids, prompts.eos_id]]) == decoding.texts([ids])
    assert decoding.texts([ids])[0].strip() == '["Ada"]'
    assert decoding.token_texts([prompts.eos_id]) == [""]
    assert decoding.texts([[]]) == [""]


def test_the_tokens_that_are_the_empty_list_are_derived_from_the_tokenizer() -> None:
    llama = json.loads(llama_json(legacy=True))
    number = len(llama["model"]["vocab"])
    llama["model"]["vocab"] |= {"[]": number, "▁[]": number + 1, "[],": number + 2, "()": number + 3, "[][": number + 4}
    decoder = AnswerDecoder(json.dumps(llama), anchor=llama["model"]["vocab"]["▁"])
    # "()" is none by the authors' parser; what stands behind a list does not matter to it.
    assert decoder.empty_list_ids() == [number, number + 1, number + 2, number + 4]
    assert AnswerDecoder(llama_json(legacy=True), anchor=3).empty_list_ids() == []
    path = Path(demo.model_path(), "tokenizer.json")
    shipped = json.loads(path.read_text())["model"]["vocab"]
    assert AnswerDecoder(path.read_text(), anchor=3).empty_list_ids() == [shipped["Ġ[]"]]
