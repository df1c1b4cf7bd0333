"""Prompts as token ids: assembled ids are those of the whole string, and special tokens in user data stay text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import uniner_dist
from tests.support.tokenizer_factory import byte_level_json, llama_json
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer, shared_tokens
from uniner_dist.errors import ConfigError

TEMPLATE = get_template("ie_as_qa")
JSONS = {
    "llama_legacy": llama_json(legacy=True),
    "llama": llama_json(legacy=False),
    "byte_level": byte_level_json(),
    "byte_level_prefix_space": byte_level_json(add_prefix_space=True),
}
SHIPPED = Path(uniner_dist.__file__).parent / "demo" / "model" / "tokenizer.json"
if SHIPPED.exists():
    JSONS["shipped"] = SHIPPED.read_text(encoding="utf-8")
PROMPT_TOKENIZERS = {name: PromptTokenizer.from_json(text, TEMPLATE) for name, text in JSONS.items()}
ORIGINALS = {name: Tokenizer.from_str(text) for name, text in JSONS.items()}
KINDS = sorted(JSONS)

TRICKY = st.sampled_from(" \n▁Ġ'’\"{}</s>[]\u0301\u200d")
ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), TRICKY), max_size=60)
CLEAN_TEXT = ANY_TEXT.filter(lambda text: not any(special in text for special in ("<s>", "</s>", "<unk>", "<pad>")))
SPELLED = st.sampled_from(["</s>", "<s>", "<unk>", "<pad>", "<0x0A>"])
NASTY_TEXT = st.lists(st.one_of(ANY_TEXT, SPELLED), max_size=6).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@given(text=CLEAN_TEXT, entity_type=CLEAN_TEXT)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_assembled_ids_equal_the_tokenised_prompt_string(kind: str, text: str, entity_type: str) -> None:
    tokenizer = PROMPT_TOKENIZERS[kind]
    whole = ORIGINALS[kind].encode(TEMPLATE.prompt(text, entity_type)).ids
    assert tokenizer.assembled
    assert tokenizer.reason is None
    assert tokenizer.prefix_ids([text])[0] + tokenizer.suffix_ids(entity_type) == whole
    assert tokenizer.prompt_ids(text, entity_type) == whole
    assert tokenizer.mismatches([(text, entity_type)]) == []


@pytest.mark.parametrize("kind", KINDS)
@given(text=NASTY_TEXT, entity_type=NASTY_TEXT)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_special_tokens_in_user_data_stay_text(kind: str, text: str, entity_type: str) -> None:
    tokenizer = PROMPT_TOKENIZERS[kind]
    ids = tokenizer.prompt_ids(text, entity_type)
    original = ORIGINALS[kind]
    assert sum(one == original.token_to_id("</s>") for one in ids) == 1
    assert sum(one == original.token_to_id("<s>") for one in ids) == 1
    assert ids[0] == original.token_to_id("<s>")
    decoded = original.decode(ids, skip_special_tokens=False)
    assert "".join(decoded.split()).count("</s>") == "".join((text + entity_type).split()).count("</s>") + 1


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(NASTY_TEXT, max_size=4))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_batch_gives_what_its_texts_give_alone(kind: str, texts: list[str]) -> None:
    tokenizer = PROMPT_TOKENIZERS[kind]
    assert tokenizer.prefix_ids(texts) == [tokenizer.prefix_ids([text])[0] for text in texts]
    counts = [len(ids) - tokenizer.prefix_overhead for ids in tokenizer.prefix_ids(texts)]
    assert tokenizer.count_tokens(texts) == counts


@pytest.mark.parametrize("kind", KINDS)
@given(text=NASTY_TEXT)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_token_spans_are_ascending_ranges_over_all_visible_characters(kind: str, text: str) -> None:
    spans = PROMPT_TOKENIZERS[kind].token_spans(text).tolist()
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    covered = {index for start, end in spans for index in range(start, end)}
    assert {index for index, character in enumerate(text) if not character.isspace()} <= covered


def test_the_first_word_behind_the_turn_differs_between_legacy_settings() -> None:
    legacy, modern = (PROMPT_TOKENIZERS[name].suffix_ids("person") for name in ("llama_legacy", "llama"))
    tokens = [[ORIGINALS["llama"].id_to_token(ids[1])] for ids in (legacy, modern)]
    assert tokens[0][0].startswith("▁")
    assert not tokens[1][0].startswith("▁")


def test_a_tokenizer_that_makes_special_tokens_of_plain_text_is_refused() -> None:
    tree = json.loads(JSONS["byte_level"])
    tree["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    tree["model"]["ignore_merges"] = True
    with pytest.raises(ConfigError, match="out of the plain text"):
        PromptTokenizer.from_json(json.dumps(tree), TEMPLATE)


def test_a_turn_token_of_the_vocabulary_alone_never_comes_out_of_a_text() -> None:
    tree = json.loads(JSONS["byte_level"]) | {"added_tokens": [], "post_processor": None}
    assert tree["model"]["vocab"]["</s>"] == 2
    assert PromptTokenizer.from_json(json.dumps(tree), TEMPLATE).prompt_ids("a </s> b", "</s>").count(2) == 1
    tree["model"]["ignore_merges"] = True
    tree["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    assert 2 in Tokenizer.from_str(json.dumps(tree)).encode("a </s> b").ids, "as an ordinary word"
    with pytest.raises(ConfigError, match=r"made the special tokens \['</s>'\] out of the plain text"):
        PromptTokenizer.from_json(json.dumps(tree), TEMPLATE)


def test_a_tokenizer_without_the_turn_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="<eot>"):
        PromptTokenizer.from_json(JSONS["llama"], TEMPLATE, eos_token="<eot>")
    with pytest.raises(ConfigError, match="not a tokenizer"):
        PromptTokenizer.from_json("{}", TEMPLATE)


def test_a_turn_token_not_flagged_special_is_kept_as_text_in_user_data() -> None:
    tree = json.loads(JSONS["llama"])
    for token in tree["added_tokens"]:
        token["special"] = False if token["content"] == "</s>" else token["special"]
    tokenizer = PromptTokenizer.from_json(json.dumps(tree), TEMPLATE)
    assert tokenizer.reason is None
    assert tokenizer.prompt_ids("a</s>b", "c</s>d").count(2) == 1


def test_a_turn_token_hidden_by_its_flags_is_used_as_an_id_with_a_warning() -> None:
    """Some early Llama files normalise special tokens: the string `.</s>` is then text, though training used the id."""
    hidden = llama_json(legacy=True, normalized_specials=True)
    tokenizer = PromptTokenizer.from_json(hidden, TEMPLATE)
    assert 2 not in Tokenizer.from_str(hidden).encode(TEMPLATE.prompt("a", "b")).ids
    assert tokenizer.reason is not None
    assert tokenizer.prompt_ids("Marie", "person") == PROMPT_TOKENIZERS["llama_legacy"].prompt_ids("Marie", "person")


def test_an_end_token_that_the_tokenizer_appends_is_left_out() -> None:
    tokenizer = PromptTokenizer.from_json(llama_json(legacy=False, adds_eos=True), TEMPLATE)
    assert tokenizer.prompt_ids("Marie", "person") == PROMPT_TOKENIZERS["llama"].prompt_ids("Marie", "person")
    assert tokenizer.reason is not None


def test_truncation_and_padding_of_the_file_are_ignored() -> None:
    original = Tokenizer.from_str(JSONS["llama"])
    original.enable_truncation(8)
    original.enable_padding(length=4000)
    tokenizer = PromptTokenizer.from_json(original.to_str(), TEMPLATE)
    text = "Marie Curie " * 50
    assert tokenizer.prompt_ids(text, "person") == PROMPT_TOKENIZERS["llama"].prompt_ids(text, "person")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 2), min_size=1, max_size=5)), max_size=8))
def test_shared_tokens_are_the_longest_common_beginning(
    rows: list[tuple[str, list[int]]],
) -> None:
    passages, prompts = [passage for passage, _ in rows], [ids for _, ids in rows]
    for row, (found, ids) in enumerate(zip(shared_tokens(passages, prompts), prompts, strict=True)):
        first = row - next(n for n in range(row + 1) if n == row or passages[row - n - 1] != passages[row])
        stop = next((n for n in range(row, len(rows)) if passages[n] != passages[row]), len(rows))
        group = prompts[first:stop]
        alike = [n for n in range(len(ids)) if all(other[:n] == ids[:n] and len(other) > n for other in group)]
        assert found == (max(alike) if len(group) > 1 else 0)
