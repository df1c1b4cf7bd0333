"""Which files of a checkpoint are its weights: the ones vLLM picks, by their names. Pure but for reading an index.

vLLM (`DefaultModelLoader`) takes all `*.safetensors`, cut down to those of the index if there is one; without any, all
`*.bin` but those of a training; without any, all `*.pt`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence

from uniner_dist.errors import ConfigError

#: What a training leaves beside the weights, by the end of its name.
_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt")
_SAFETENSORS_INDEX = "model.safetensors.index.json"
_INDEXES = {".safetensors": _SAFETENSORS_INDEX, ".bin": "pytorch_model.bin.index.json"}
_SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})(\.\w+)")

Read = Callable[[str], bytes]


def weight_files(names: Collection[str], read: Read) -> list[str]:
    """Names of the files that the engine loads, sorted; empty when there are none.

    Args:
        read: gives the contents of an index.
    """
    for suffix in (".safetensors", ".bin", ".pt"):
        found = sorted(name for name in names if name.endswith(suffix) and not name.endswith(_TRAINING))
        if found:
            index = _SAFETENSORS_INDEX
            if suffix == ".safetensors" and index in names:
                listed = _shards_of_index(read(index), index)
                return [name for name in found if name in listed]
            return found
    return []


def missing_weights(names: Collection[str], read: Read) -> list[str]:
    """What is missing of the weights: names of shards, or `["weights"]` when there are none at all."""
    present = weight_files(names, read)
    suffix = next((suffix for suffix in _INDEXES if any(name.endswith(suffix) for name in present)), None)
    if not present:
        suffix = next((suffix for suffix, index in _INDEXES.items() if index in names), None)
        if suffix is None:
            return ["weights"]
    index = _INDEXES.get(suffix or "", "")
    if index in names:
        return sorted(_shards_of_index(read(index), index) - set(names))
    return _missing_numbers(present)


def _shards_of_index(content: bytes, name: str) -> set[str]:
    try:
        return {str(shard) for shard in json.loads(content)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{name}: is cut off or no index of weights: {error}") from error


def _missing_numbers(names: Sequence[str]) -> list[str]:
    """Shards that the numbers in the others' names tell of."""
    missing = []
    for name in names:
        match = _SHARD.fullmatch(name)
        if match:
            start, _, count, suffix = match.groups()
            wanted = (f"{start}{number:05d}-of-{count}{suffix}" for number in range(1, int(count) + 1))
            missing += [shard for shard in wanted if shard not in names]
    return sorted(set(missing))
