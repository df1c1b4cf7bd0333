"""The real Llama tokenizer in the forms of published checkpoints, compared with sentencepiece, id by id."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor

from tests.support.llama_checkpoint import settings, write_tokenizer, write_weights
from tests.support.llama_vocabulary import llama_vocabulary, published_tokenizer, sentencepiece_model
from uniner_dist import model
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.core.template import TEMPLATES, get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model.check import check_model
from uniner_dist.model.reference import static_pairs

TEMPLATE = get_template("ie_as_qa")
WORDS = [
    *("Zoë", "O'Neill", "東京", "naïve", "[x]", "a  b", " lead", "</s>"),
    *("\\n", "<0x0A>", "👩‍💻", "Ελλάδα", '"', "", "1984", "e\u0301"),
]

#: name → arguments of `write_tokenizer`; every one is to give what sentencepiece gives.
FORMS: dict[str, dict[str, Any]] = {
    "tokenizer.model alone": {"own": None},
    "legacy is absent": {"own": settings()},
    "legacy is null": {"own": settings(legacy=None)},
    "legacy is true": {"own": settings(legacy=True)},
    "LLaMATokenizer, empty special tokens": {
        "own": {"bos_token": "", "eos_token": "", "unk_token": "", "tokenizer_class": "LLaMATokenizer"}
    },
    "32,001 tokens": {"own": settings(), "added": {"[PAD]": 32_000}},
    "an added token behind a gap": {"own": settings(), "added": {"<pad>": 32_005, "": 32_000}},
    "both files": {"own": settings(), "fast": True},
    "both files and 32,001 tokens": {"own": settings(), "fast": True, "added": {"[PAD]": 32_000}},
    "tokenizer.json alone": {"own": settings(), "fast": True, "model": False},
    "add_eos_token, which is for training": {"own": settings(add_eos_token=True)},
    "LlamaTokenizerFast alone": {"own": settings(tokenizer_class="LlamaTokenizerFast"), "fast": True, "model": False},
    "both files, legacy is false": {"own": settings(legacy=False), "fast": True},
}


@cache
def processor() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=sentencepiece_model())


def pairs() -> list[tuple[str, str]]:
    """More than 400 pairs of text and type."""
    chance = random.Random(5)
    mixed = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(200)]
    return [*static_pairs(), *((text, chance.choice(WORDS)) for text in mixed)]


def right(text: str, entity_type: str, bos: bool = True) -> list[int]:
    """What the slow tokenizer of 2023 makes of a prompt: each turn by sentencepiece."""
    prefix, suffix = TEMPLATE.prefix(text), TEMPLATE.suffix(entity_type)
    return [*([1] if bos else []), *processor().encode(prefix), 2, *processor().encode(suffix)]


def product(folder: Path) -> PromptTokenizer:
    return PromptTokenizer.from_json(model.load_tokenizer_json(ModelConfig(name=str(folder))), TEMPLATE)


@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_gives_the_ids_of_sentencepiece(tmp_path: Path, form: str) -> None:
    tokenizer = product(write_tokenizer(tmp_path / "m", **FORMS[form]))
    tried = pairs()
    assert len(tried) > 400
    assert [pair for pair in tried if tokenizer.prompt_ids(*pair) != right(*pair)] == []
    assert tokenizer.assembled
    assert tokenizer.suffix_ids("person")[:3] == [2, 3148, 1001]


def test_without_a_bos_prompts_begin_without_one_and_that_is_reported(tmp_path: Path) -> None:
    for fast in (False, True):
        folder = write_tokenizer(tmp_path / str(fast), settings(add_bos_token=False), fast=fast)
        tokenizer = product(folder)
        assert tokenizer.prompt_ids("Marie", "person") == right("Marie", "person", bos=False)
        assert "BOS" in str(tokenizer.reason)
    assert product(write_tokenizer(tmp_path / "with", settings())).reason is None


def test_a_non_legacy_tokenizer_takes_the_first_word_of_a_turn_bare(tmp_path: Path) -> None:
    tokenizer = product(write_tokenizer(tmp_path / "m", settings(legacy=False)))
    assert tokenizer.suffix_ids("person")[:2] == [2, llama_vocabulary()[0].index("USER")] == [2, 11889]
    assert tokenizer.prefix_ids(["Marie"])[0] == [1, *processor().encode(TEMPLATE.prefix("Marie"))]


def test_the_token_of_added_tokens_stays_text_in_a_corpus(tmp_path: Path) -> None:
    tokenizer = product(write_tokenizer(tmp_path / "m", settings(), added={"[PAD]": 32_000}))
    assert 32_000 not in tokenizer.prompt_ids("a [PAD] b", "[PAD]")


@pytest.mark.parametrize("fault", ["merges by id", "no blank behind a special token"])
def test_a_tokenizer_json_unlike_its_model_is_refused_with_both_id_lists(tmp_path: Path, fault: str) -> None:
    folder = write_tokenizer(tmp_path / "m", settings())
    pieces, merges = llama_vocabulary()
    number = {piece: position for position, piece in enumerate(pieces)}
    by_id = sorted(merges, key=lambda pair: (number[pair[0]], number[pair[1]]))
    wrong = published_tokenizer(by_id) if fault == "merges by id" else published_tokenizer(legacy=False)
    (folder / "tokenizer.json").write_text(wrong)
    write_weights(folder, {})
    with pytest.raises(ConfigError, match=r"it gives .*\[.*\d+.*\], sentencepiece .*\[.*\d+.*\]"):
        check_model(ModelConfig(name=str(folder)))


@pytest.mark.parametrize("model", [True, False])
def test_a_late_token_that_nobody_marked_special_stays_text(tmp_path: Path, model: bool) -> None:
    folder = write_tokenizer(tmp_path / "m", settings(), fast=True, model=model)
    tree = json.loads(published_tokenizer())
    tree["added_tokens"].append({**tree["added_tokens"][0], "id": 32_000, "content": "[PAD]", "special": False})
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    assert product(folder).prompt_ids("a [PAD] b", "[PAD]") == right("a [PAD] b", "[PAD]")


def test_a_good_folder_passes_the_check_with_the_corpus_and_all_questions(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "m", settings())
    write_weights(folder, {})
    questions = [f"a thing  of kind {number} </s>" for number in range(50)]
    tokenizer = check_model(ModelConfig(name=str(folder)), questions, WORDS)
    assert tokenizer.reason is None


def test_answers_decode_as_sentencepiece_decodes_them(tmp_path: Path) -> None:
    tokenizer_json = model.load_tokenizer_json(ModelConfig(name=str(write_tokenizer(tmp_path / "m", settings()))))
    decoder = AnswerDecoder(tokenizer_json, anchor=right("x", "person")[-1])
    chance = random.Random(9)
    answers = [json.dumps(chance.choices(WORDS, k=chance.randint(0, 4)), ensure_ascii=False) for _ in range(620)]
    ids = [processor().encode(answer) for answer in answers]
    ids += [[29871, *processor().encode(answer)] for answer in answers[:20]]
    expected = [processor().decode([29901, *one])[1:] for one in ids]  # behind the colon that ends a prompt
    assert decoder.texts(ids) == expected
    assert [text.strip() for text in decoder.texts(ids[:620])] == [answer.strip() for answer in answers]


def test_the_empty_list_is_known_behind_any_number_of_blanks(tmp_path: Path) -> None:
    tokenizer_json = model.load_tokenizer_json(ModelConfig(name=str(write_tokenizer(tmp_path / "m", settings()))))
    decoder = AnswerDecoder(tokenizer_json, anchor=29901)
    assert {5159, 2636} <= set(decoder.empty_list_ids())
    newline, nbsp = [13], [0xC2 + 3, 0xA0 + 3]
    for blanks in ([], [29871], [29871, 29871], [259], newline, [35], nbsp, [1]):
        assert decoder.is_empty_list([*blanks, 5159])
        assert decoder.is_empty_list([*blanks, 2636])
    assert not decoder.is_empty_list([3148, 5159])
    assert not decoder.is_empty_list([29871, 3148, 2636])


def test_training_templates_give_the_ids_of_the_authors_training_code() -> None:
    encode = processor().encode
    for name, word, blank in (
        ("ie_as_qa_train", "paragraph", True),
        ("ie_as_qa_train_blanks", "text", True),
        ("ie_as_qa_train_wording", "paragraph", False),
    ):
        template = TEMPLATES[name]
        tokenizer = PromptTokenizer.from_json(published_tokenizer(), template)
        system = f"A virtual assistant answers questions from a user based on the provided {word}."
        for text, entity_type in [("Marie Curie", "person"), *pairs()]:
            if blank:  # src/train/fastchat/train/train.py: every turn, and every `ASSISTANT: `, is tokenised alone
                turns = [f"{system} USER: Text: {text}", "ASSISTANT: ", "I've read this text."]
                question = [f"USER: What describes {entity_type} in the text?", "ASSISTANT: "]
            else:
                turns = [f"{system} USER: Text: {text} ASSISTANT: I've read this text."]
                question = [f"USER: What describes {entity_type} in the text? ASSISTANT:"]
            expected = [
                1,
                *(i for turn in turns for i in encode(turn)),
                2,
                *(i for turn in question for i in encode(turn)),
            ]
            assert tokenizer.prompt_ids(text, entity_type) == expected, (name, text, entity_type)
        assert (tokenizer.suffix_ids("person")[-1] == 29871) == blank
