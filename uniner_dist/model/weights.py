"""Selects the weight files of a checkpoint as vLLM does, by their names. Pure except for reading an index.

vLLM (`DefaultModelLoader`) takes `consolidated*.safetensors` if there are any, else all `*.safetensors`, each cut down
to those of its index if there is one; without any, all `*.bin` but those of a training; without any, all `*.pt`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence

from uniner_dist.errors import ConfigError

#: Files of a training that are no weights, by the end of their names.
_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt")
#: Beginning and end of the names of one kind of weights, and its index; the first kind that is there counts.
_KINDS = (
    ("consolidated", ".safetensors", "consolidated.safetensors.index.json"),
    ("", ".safetensors", "model.safetensors.index.json"),
    ("", ".bin", "pytorch_model.bin.index.json"),
    ("", ".pt", ""),
)
_LFS = b"version https://git-lfs"
_SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})(\.\w+)")

Read = Callable[[str], bytes]


def weight_files(names: Collection[str], read: Read) -> list[str]:
    """Return the names of the files that the engine loads, sorted; empty when there are none.

    Args:
        names: files at the top level of the model's folder.
        read: returns the contents of a file by its name; called for an index only.

    Raises:
        ConfigError: the index cannot be read.
    """
    found, index = _found(names)
    if index in names and index.endswith(".safetensors.index.json"):  # vLLM reads no other index
        listed = _shards_of_index(read(index), index)
        return [name for name in found if name in listed]
    return found


def missing_weights(names: Collection[str], read: Read) -> list[str]:
    """Return what is missing of the weights: names of shards, sorted, or `["weights"]` when there are none at all.

    Shards are told by the index, or else by the numbers in the names of those that are there.

    Args:
        names: files at the top level of the model's folder.
        read: returns the contents of a file by its name; called for an index only.

    Raises:
        ConfigError: the index cannot be read.
    """
    found, index = _found(names)
    if not found:
        index = next((index for _, _, index in _KINDS if index in names), "")
        if not index:
            return ["weights"]
    if index in names:
        return sorted(_shards_of_index(read(index), index) - set(names))
    return _missing_numbers(found)


def _found(names: Collection[str]) -> tuple[list[str], str]:
    """The files of the first kind that is there, and the name of its index."""
    for beginning, ending, index in _KINDS:
        of_kind = (name for name in names if name.startswith(beginning) and name.endswith(ending))
        found = sorted(name for name in of_kind if not name.endswith(_TRAINING))
        if found:
            return found, index
    return [], ""


def _shards_of_index(content: bytes, name: str) -> set[str]:
    try:
        return {str(shard) for shard in json.loads(content)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if content.startswith(_LFS):
            raise ConfigError(f"{name}: is a Git LFS pointer; fetch the file itself (git lfs pull)") from error
        raise ConfigError(f"{name}: is cut off or no index of weights: {error}") from error


def _missing_numbers(names: Sequence[str]) -> list[str]:
    """Missing shards, by the numbers in the others' names."""
    missing = []
    for name in names:
        match = _SHARD.fullmatch(name)
        if match:
            start, _, count, suffix = match.groups()
            wanted = (f"{start}{number:05d}-of-{count}{suffix}" for number in range(1, int(count) + 1))
            missing += [shard for shard in wanted if shard not in names]
    return sorted(set(missing))
