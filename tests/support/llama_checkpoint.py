"""Folders in the forms in which Llama checkpoints were published: real tokenizer, tiny weights.

`write_tokenizer` leaves the tokenizer's files, `write_weights` a model of one layer in which the next token depends on
the last one only, as told. Together they are what vLLM loads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.llama_vocabulary import published_tokenizer, sentencepiece_model

_HIDDEN = 64


def token(content: str) -> dict[str, Any]:
    """A special token as `tokenizer_config.json` of 2023 spells it."""
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"__type": "AddedToken", "content": content, **flags}


def settings(**more: Any) -> dict[str, Any]:
    """A `tokenizer_config.json` of 2023."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": token("<s>"),
        "eos_token": token("</s>"),
        "unk_token": token("<unk>"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "tokenizer_class": "LlamaTokenizer",
        **more,
    }


def write_tokenizer(
    folder: Path,
    own: Mapping[str, Any] | None = None,
    fast: bool = False,
    added: Mapping[str, int] | None = None,
    model: bool = True,
) -> Path:
    """The tokenizer's files, and a `config.json`.

    Args:
        own: the `tokenizer_config.json`; None leaves it out.
        fast: with a `tokenizer.json`.
        added: the `added_tokens.json`.
        model: with a `tokenizer.model`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if model:
        (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    if fast:
        (folder / "tokenizer.json").write_text(published_tokenizer())
    if own is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(own))
    if added is not None:
        (folder / "added_tokens.json").write_text(json.dumps(added))
    write_config(folder)
    return folder


def write_config(folder: Path, **more: Any) -> None:
    """A `config.json` of 2023 for the tiny model."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HIDDEN,
        "intermediate_size": _HIDDEN,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_hidden_layers": 1,
        "max_position_embeddings": 2048,
        "vocab_size": 32_000,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
        "rms_norm_eps": 1e-6,
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config))


def tiny_weights(vocabulary: int = 32_000, following: Mapping[int, int] | None = None) -> dict[str, Any]:
    """A state dict; behind each token of `following` comes the one it names, behind any other something fixed."""
    import torch

    generator = torch.Generator().manual_seed(7)
    embeddings = torch.randn(vocabulary, _HIDDEN, generator=generator)
    head = torch.randn(vocabulary, _HIDDEN, generator=generator) * 0.01
    for before, after in (following or {}).items():
        head[after] += embeddings[before]
    layer = "model.layers.0."
    zeros = torch.zeros(_HIDDEN, _HIDDEN)
    names = [f"self_attn.{part}_proj" for part in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
    return {
        "model.embed_tokens.weight": embeddings,
        "lm_head.weight": head,
        "model.norm.weight": torch.ones(_HIDDEN),
        f"{layer}input_layernorm.weight": torch.ones(_HIDDEN),
        f"{layer}post_attention_layernorm.weight": torch.ones(_HIDDEN),
        **{f"{layer}{name}.weight": zeros.clone() for name in names},
    }


def write_weights(folder: Path, weights: Mapping[str, Any], form: str = "safetensors", dtype: str = "float32") -> None:
    """Store weights.

    Args:
        form: `safetensors` (one file), or `bin` (two shards of PyTorch with an index).
    """
    import torch
    from safetensors.torch import save_file

    tensors = {name: tensor.to(getattr(torch, dtype)).contiguous() for name, tensor in weights.items()}
    if form == "safetensors":
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": names[:1], "pytorch_model-00002-of-00002.bin": names[1:]}
    for shard, members in shards.items():
        torch.save({name: tensors[name] for name in members}, folder / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard, members in shards.items() for name in members}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
