"""Checks a model's files, its tokenizer, and whether prompts can be assembled from ids. Weights are not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from uniner_dist import model
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.doctor.finding import Finding, problem, warning
from uniner_dist.errors import UninerError
from uniner_dist.model.weights import weight_files
from uniner_dist.storage.filesystem import is_local, join, list_names, open_fs, read_bytes

_AREA: Final = "Model"
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model")


def check_model(config: ModelConfig) -> list[Finding]:
    """Check a model's licence, location and files, and its tokenizer if it can be read without copying it.

    Args:
        config: section `model` of the configuration.

    Returns:
        The findings, the licence first. A model that is not there or has no whole set of files is a problem.
    """
    findings = [Finding(_AREA, "licence", model.licence(config))]
    try:
        found, is_here = _hub(config) if model.is_hub_name(config.name) else _folder(config)
        # Files on other storage or on the hub are copied by the nodes, and not for a mere check.
        return [*findings, *found, *([_tokenizer(config)] if is_here else [])]
    except UninerError as error:
        text = " ".join(str(error).removeprefix("- ").split())
        return [*findings, problem(_AREA, config.name, text, "give a Hugging Face name, or a folder in its format")]


def _folder(config: ModelConfig) -> tuple[list[Finding], bool]:
    """Findings about the files of a folder, and whether its tokenizer can be read from here without copying it."""
    if config.name == "demo":
        return [Finding(_AREA, "demo", "the demonstration checkpoint that ships with the package")], True
    fs, _ = open_fs(config.name)
    names = list_names(config.name)
    weights = weight_files(names, lambda name: read_bytes(join(config.name, name)))
    missing = [
        what
        for what, there in {
            "config.json": "config.json" in names,
            "weights (*.safetensors or pytorch_model*.bin)": bool(weights),
            "a tokenizer (tokenizer.json or tokenizer.model)": any(name in names for name in _TOKENIZERS),
        }.items()
        if not there
    ]
    if missing:
        advice = "download it again as a whole, such as with `hf download Universal-NER/UniNER-7B-all --local-dir …`"
        return [problem(_AREA, config.name, f"without {', '.join(missing)}", advice)], False
    form = "safetensors" if weights[0].endswith(".safetensors") else "pytorch_model.bin"
    return [Finding(_AREA, config.name, f"a folder with {form}")], is_local(fs)


def _hub(config: ModelConfig) -> tuple[list[Finding], bool]:
    """Findings about a name on the Hugging Face hub, without a request to it."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(config.name, "config.json", revision=config.revision)
    if isinstance(cached, str):
        return [Finding(_AREA, config.name, f"on this machine already: {Path(cached).parent}")], True
    advice = f"it is downloaded when the first replica starts; before that: hf download {config.name}"
    return [warning(_AREA, config.name, "not on this machine yet", advice)], False


def _tokenizer(config: ModelConfig) -> Finding:
    tokenizer = PromptTokenizer.from_json(model.load_tokenizer_json(config), get_template(config.template))
    if tokenizer.reason:
        return warning(_AREA, "tokenizer", tokenizer.reason, "prompts are tokenised as whole strings, which is slower")
    return Finding(_AREA, "tokenizer", "loads, and ids of assembled prompts are those of whole ones")
