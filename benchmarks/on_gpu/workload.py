"""A Llama of random weights, and prompts with the shape of CrossNER: neither needs a network."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "7b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128},
}
VOCABULARY = 32000


def make_model(folder: Path, size: str, tokenizer_from: Path) -> None:
    """A folder that vLLM loads with `load_format="dummy"`: a Llama's config, and another model's tokenizer."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": False, "dtype": "bfloat16", **SIZES[size],
    }  # fmt: skip
    config["num_key_value_heads"] = config["num_attention_heads"]
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_from / name, folder / name)


def count_parameters(config: Mapping[str, Any]) -> int:
    """Weights of a Llama that every token is multiplied with: all matrices, the output layer, no input embeddings."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    attention = 2 * hidden * head * heads + 2 * hidden * head * (config.get("num_key_value_heads") or heads)
    layer = attention + 3 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer + hidden * config["vocab_size"])


def make_texts(count: int, characters: int) -> list[str]:
    """Different texts of random words: log-normal lengths about the given mean, as sentences have."""
    source = random.Random(3)
    words = ["".join(source.choices("abcdefghijklmnoprstuvw", k=source.randint(2, 9))) for _ in range(3000)]
    names = [word.capitalize() for word in words[:600]]
    texts = []
    for number in range(count):
        length = max(30.0, source.lognormvariate(0.0, 0.4) * characters)
        parts, size = [f"{number}"], 0
        while size < length:
            parts.append(source.choice(names if source.random() < 0.15 else words))
            size += len(parts[-1]) + 1
        texts.append(" ".join(parts) + ".")
    return texts
