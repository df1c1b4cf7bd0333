"""Display name and licence of a model. Pure."""

from __future__ import annotations

from uniner_dist.config.schema import ModelConfig
from uniner_dist.model.source import is_hub_name

_NON_COMMERCIAL = "CC BY-NC 4.0 (and the terms of LLaMA): not for commercial use; the annotations carry this licence"


def display_name(config: ModelConfig) -> str:
    """Return how annotations name the model: hub name, or last part of the folder's path.

    Args:
        config: the model; only its name counts.
    """
    if config.name == "demo":
        return "uniner-dist-demo"
    return config.name if is_hub_name(config.name) else config.name.rstrip("/").rsplit("/", 1)[-1]


def licence(config: ModelConfig) -> str:
    """Return the licence of the weights, which their answers inherit, by the model's name alone.

    Args:
        config: the model. The authors' weights are those with "uniner" in their display name, or with "uniner-7b", as
            the authors' models are called, anywhere in their path, such as that of a hub's cache.
    """
    if config.name == "demo":
        return "Apache-2.0 (demonstration checkpoint of this project)"
    if "uniner" in display_name(config).lower() or "uniner-7b" in config.name.lower():
        return _NON_COMMERCIAL
    return "see the model's card"
