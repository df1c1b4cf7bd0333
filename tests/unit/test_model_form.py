"""Which folders are accepted as a model and which are refused, in words, before anything is started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.tokenizer_factory import llama_json
from uniner_dist.config.schema import ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.model.check import check_model
from uniner_dist.model.form import check_form
from uniner_dist.model.source import open_source

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32_000}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def write_model(folder: Path, weights: str = "safetensors") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text(llama_json(legacy=True))
    tensors = {"a": torch.zeros(600), "b": torch.ones(600)}
    if weights == "safetensors":
        save_file(tensors, folder / "model.safetensors")
    elif weights == "bin":
        names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
        for name, (key, tensor) in zip(names, tensors.items(), strict=True):
            torch.save({key: tensor}, folder / name)
        index = {"weight_map": dict(zip(tensors, names, strict=True))}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def check(folder: Path, **arguments: Any) -> None:
    check_model(ModelConfig(name=str(folder)), **arguments)


def cut(path: Path, size: int) -> int:
    return path.write_bytes(path.read_bytes()[:size])


def config(**more: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({**CONFIG, **more}))


def adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def gguf(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.Q4_K_M.gguf").write_bytes(b"GGUF")


def shards_gone(folder: Path) -> None:
    for path in folder.glob("*.bin"):
        path.unlink()


def unnumbered(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")


WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no weights": ("none", lambda folder: None, "no weights there"),
    "only what a training left": ("none", lambda f: torch.save({}, f / "training_args.bin"), "no weights there"),
    "a LoRA adapter": ("safetensors", adapter, "is a LoRA adapter"),
    "an adapter beside the weights": (
        "safetensors",
        lambda folder: shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors"),
        "LoRA adapter next to",
    ),
    "GGUF": ("safetensors", gguf, "GGUF"),
    "a shard of the index is missing": (
        "bin",
        lambda folder: (folder / "pytorch_model-00002-of-00002.bin").unlink(),
        "1 of its weight files missing, first pytorch_model-00002-of-00002.bin",
    ),
    "all shards of the index are missing": (
        "bin",
        shards_gone,
        "2 of its weight files missing",
    ),
    "shards are missing and there is no index": ("safetensors", unnumbered, "2 of its weight files missing"),
    "the index is cut off": (
        "bin",
        lambda folder: cut(folder / "pytorch_model.bin.index.json", 20),
        "index.json: is cut off",
    ),
    "an LFS pointer for the index": (
        "bin",
        lambda folder: (folder / "pytorch_model.bin.index.json").write_text(LFS),
        "index.json: is a Git LFS pointer",
    ),
    "an encoder named by a string": ("safetensors", config(architectures="BertModel"), "writes texts"),
    "a tokenizer.model cut off": (
        "safetensors",
        lambda f: ((f / "tokenizer.json").rename(f / "tokenizer.model"), cut(f / "tokenizer.model", 20)),
        "tokenizer.model is cut off",
    ),
    "added tokens that are none": (
        "safetensors",
        lambda folder: (folder / "added_tokens.json").write_text('{"[PAD]": "x"}'),
        "not names and numbers",
    ),
    "consolidated weights cut off beside whole ones": (
        "safetensors",
        lambda f: (
            shutil.copy(f / "model.safetensors", f / "consolidated.safetensors"),
            cut(f / "consolidated.safetensors", 900),
        ),
        "consolidated.safetensors has",
    ),
    "LFS pointers for weights": (
        "safetensors",
        lambda folder: (folder / "model.safetensors").write_text(LFS),
        "Git LFS pointer instead of weights",
    ),
    "an LFS pointer for one shard": (
        "bin",
        lambda folder: (folder / "pytorch_model-00001-of-00002.bin").write_text(LFS),
        "Git LFS pointer instead of weights",
    ),
    "an LFS pointer for the tokenizer": (
        "safetensors",
        lambda folder: (folder / "tokenizer.json").write_text(LFS),
        "tokenizer.json is a Git LFS pointer",
    ),
    "safetensors cut off": ("safetensors", lambda f: cut(f / "model.safetensors", 1000), "bytes of"),
    "safetensors cut off in its header": ("safetensors", lambda f: cut(f / "model.safetensors", 60), "bytes of"),
    "a page of HTML for weights": (
        "safetensors",
        lambda folder: (folder / "model.safetensors").write_text("<!doctype html>" * 9),
        "no safetensors file",
    ),
    "a PyTorch file cut off": ("bin", lambda f: cut(f / "pytorch_model-00001-of-00002.bin", 900), "is cut off"),
    "an empty shard": ("bin", lambda f: cut(f / "pytorch_model-00002-of-00002.bin", 0), "is empty"),
    "config.json cut off": ("safetensors", lambda f: cut(f / "config.json", 20), "config.json is cut off"),
    "config.json a list": ("safetensors", lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
    "no config.json": ("safetensors", lambda f: (f / "config.json").unlink(), "no config.json there"),
    "config.json of nothing": ("safetensors", lambda f: (f / "config.json").write_text("{}"), "neither architectures"),
    "an encoder": ("safetensors", config(architectures=["BertForMaskedLM"], model_type="bert"), "writes texts"),
    "a classifier": ("safetensors", config(architectures=["LlamaForSequenceClassification"]), "writes texts"),
    "a model without a head": ("safetensors", config(architectures=["LlamaModel"]), "writes texts"),
    "an encoder-decoder": (
        "safetensors",
        config(architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True),
        "encoder-decoder",
    ),
    "a quantization of GPUs": (
        "safetensors",
        config(quantization_config={"quant_method": "bitsandbytes"}),
        "which a CPU cannot run",
    ),
    "no tokenizer": (
        "safetensors",
        lambda folder: (folder / "tokenizer.json").unlink(),
        "neither tokenizer.json nor tokenizer.model is there",
    ),
    "a tokenizer cut off": ("safetensors", lambda f: cut(f / "tokenizer.json", 99), "tokenizer.json is cut off"),
    "the tokenizer of a larger model": ("safetensors", config(vocab_size=300), "belongs to another model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_folder_is_refused_in_words(tmp_path: Path, name: str) -> None:
    weights, spoil, words = WRONG[name]
    folder = write_model(tmp_path / "m", weights)
    spoil(folder)
    with pytest.raises(ConfigError) as caught:
        check(folder)
    assert words in str(caught.value)
    assert all(problem.startswith(("model ", "pytorch_model")) for problem in caught.value.problems)


GOOD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "safetensors": ("safetensors", lambda folder: None),
    "shards of PyTorch with an index": ("bin", lambda folder: None),
    "shards without an index": ("bin", lambda folder: (folder / "pytorch_model.bin.index.json").unlink()),
    "both, of which safetensors count": ("bin", lambda f: save_file({"a": torch.zeros(1)}, f / "model.safetensors")),
    "what a training left lies beside": ("bin", lambda folder: torch.save({}, folder / "training_args.bin")),
    "GGUF beside good weights": ("safetensors", lambda folder: (folder / "m.gguf").write_bytes(b"GGUF")),
    "weights cut off beside consolidated ones, which count": (
        "safetensors",
        lambda f: (
            shutil.copy(f / "model.safetensors", f / "consolidated.safetensors"),
            cut(f / "model.safetensors", 900),
        ),
    ),
    "optimizer and scheduler beside": (
        "bin",
        lambda f: [torch.save({}, f / n) for n in ("optimizer.pt", "scheduler.pt")],
    ),
    "one file of the oldest form": (
        "none",
        lambda f: torch.save({"a": 1}, f / "pytorch_model.bin", _use_new_zipfile_serialization=False),
    ),
    "architecture of early conversions": ("safetensors", config(architectures=["LLaMAForCausalLM"])),
    "an architecture nobody knows": ("safetensors", config(architectures=["NewThing"], model_type="new")),
    "more rows than pieces": ("safetensors", config(vocab_size=32_064)),
    "no vocab_size": ("safetensors", config(vocab_size=None)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_folder_is_accepted(tmp_path: Path, name: str) -> None:
    weights, change = GOOD[name]
    folder = write_model(tmp_path / "m", weights)
    change(folder)
    check(folder)


def test_what_the_engine_is_told_to_do_otherwise_is_left_to_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", "none")
    check_form(open_source(ModelConfig(name=str(folder))), extra={"load_format": "dummy"})
    config(architectures=["BertForMaskedLM"])(folder)
    overridden = {"load_format": "dummy", "hf_overrides": {"architectures": ["LlamaForCausalLM"]}}
    check_form(open_source(ModelConfig(name=str(folder))), extra=overridden)


def test_weights_that_do_not_say_which_model_it_is_are_not_loaded(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "both")
    with pytest.raises(ConfigError, match="load_format=pt would load other files"):
        check_form(open_source(ModelConfig(name=str(folder))), extra={"load_format": "pt"})
    check_form(open_source(ModelConfig(name=str(folder))), extra={"load_format": "safetensors"})
    only = write_model(tmp_path / "bin", "bin")
    check_form(open_source(ModelConfig(name=str(only))), extra={"load_format": "pt"})


def test_a_quantization_that_a_gpu_runs_is_left_to_the_gpu(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    config(quantization_config={"quant_method": "bitsandbytes"})(folder)
    check(folder, gpus=1)
