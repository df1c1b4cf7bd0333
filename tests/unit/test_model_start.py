"""What one start found out about a model is not found out again by the next, and no other model profits from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.llama_checkpoint import settings, write_tokenizer, write_weights
from tests.support.tokenizer_factory import byte_level_json, llama_json
from uniner_dist import model
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.tokenizer_copies import copied, load
from uniner_dist.errors import ConfigError
from uniner_dist.model import check, tokenizer
from uniner_dist.model.check import check_model

TEXTS, QUESTIONS = ["Marie Curie was born in Warsaw."], ["person", "place"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNINER_DIST_CACHE", str(tmp_path / "cache"))


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    """Calls of a function from now on."""
    calls: list[object] = []
    original: Callable[..., object] = getattr(module, name)

    def count(*arguments: Any, **named: Any) -> object:
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(module, name, count)
    return calls


def start(folder: Path, texts: list[str] = TEXTS, questions: list[str] = QUESTIONS) -> list[int]:
    """A command in a new process: nothing but the cache on disk is known. Returns the ids of a prompt."""
    tokenizer._from_files.cache_clear()
    return check_model(ModelConfig(name=str(folder)), questions, texts).prompt_ids("Marie", "person")


def checkpoint(folder: Path, **files: Any) -> Path:
    write_weights(write_tokenizer(folder, **{"own": settings(), **files}), {})
    return folder


@pytest.mark.parametrize("fast", [False, True])
def test_a_second_start_repeats_none_of_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    folder = checkpoint(tmp_path / "m", fast=fast)
    compared = counted(monkeypatch, check, "check_against_sentencepiece")
    loaded = counted(monkeypatch, tokenizer, "sentencepiece_of")
    made = counted(monkeypatch, tokenizer, "decode_json" if fast else "convert")
    first = start(folder)
    assert (len(compared), len(loaded), len(made)) == (1, 1, 1)
    name = model.identify(ModelConfig(name=str(folder)))
    assert start(folder) == first
    assert model.identify(ModelConfig(name=str(folder))) == name
    assert (len(compared), len(loaded), len(made)) == (1, 1, 1)


def test_other_texts_and_questions_are_compared_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkpoint(tmp_path / "m")
    compared = counted(monkeypatch, check, "check_against_sentencepiece")
    for texts, questions in [(TEXTS, QUESTIONS), (["other"], QUESTIONS), (TEXTS, ["other"]), (TEXTS, QUESTIONS)]:
        start(folder, texts, questions)
    assert len(compared) == 3


def test_a_tokenizer_exchanged_after_a_check_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", fast=True)
    right = start(folder)
    path = folder / "tokenizer.json"
    tree = json.loads(path.read_text())
    tree["normalizer"] = None
    path.write_text(json.dumps(tree))
    for _ in range(2):
        with pytest.raises(ConfigError, match="sentencepiece"):
            start(folder)
    path.unlink()
    assert start(folder) == right


def test_another_tokenizer_model_is_compared_after_a_check(tmp_path: Path) -> None:
    from sentencepiece import sentencepiece_model_pb2

    folder = checkpoint(tmp_path / "m", fast=True)
    start(folder)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((folder / "tokenizer.model").read_bytes())
    proto.pieces[4000].piece, proto.pieces[4001].piece = proto.pieces[4001].piece, proto.pieces[4000].piece
    proto.pieces[3148].piece += "unlike"
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())
    with pytest.raises(ConfigError, match="sentencepiece"):
        start(folder)


@pytest.mark.parametrize(
    "content",
    [llama_json(legacy=True), llama_json(legacy=False), byte_level_json(), byte_level_json(ignore_merges=True)],
)
def test_a_copied_tokenizer_is_the_loaded_one(content: str) -> None:
    from tokenizers import AddedToken

    original = load(content)
    original.add_tokens([AddedToken("[kept]", special=False, normalized=False, lstrip=True)])
    copy = copied(original, original.to_str())
    assert copy.to_str() == original.to_str()
    copy.add_tokens(["<|marker|>"])
    copy.encode_special_tokens = True
    assert original.token_to_id("<|marker|>") is None
    assert original.encode("a </s> [kept] b").ids == load(original.to_str()).encode("a </s> [kept] b").ids
    assert not original.encode_special_tokens


def test_a_tokenizer_whose_added_tokens_have_gaps_is_loaded_again() -> None:
    tree = json.loads(llama_json(legacy=True))
    tree["added_tokens"].append({**tree["added_tokens"][0], "id": 9_999, "content": "[far]", "special": False})
    original = load(json.dumps(tree))
    copy = copied(original, json.dumps(tree))
    assert copy.encode("a [far] b").ids == original.encode("a [far] b").ids
