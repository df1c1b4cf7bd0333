"""Checks by names, sizes and first bytes that the weights of a model are complete; none are loaded.

Returns a message per problem, so that a wrong folder is refused in a second.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence

from uniner_dist.model.source import ModelSource
from uniner_dist.model.weights import missing_weights, weight_files

_LFS = b"version https://git-lfs"
_HEAD_BYTES = 512
#: How a zip file, which PyTorch writes, begins, and how its directory ends; a comment after it has 64 KiB at most.
_ZIP, _ZIP_END, _ZIP_TAIL_BYTES = b"PK\x03\x04", b"PK\x05\x06", 65_558


def weight_problems(source: ModelSource) -> list[str]:
    """Return messages on what is wrong with the weights as a whole and with each of their files; empty if nothing is.

    They are to follow the model's name.

    Args:
        source: the model's files, of which listings, indexes and first and last bytes are read. Of a hub model only
            files in the cache are looked into, and of a partial listing nothing is called missing.

    Raises:
        ConfigError: an index of weights cannot be read.
    """
    names = source.sizes()
    weights = weight_files(names, source.read)
    adapters = [name for name in weights if name.startswith("adapter_model")]
    if adapters and len(adapters) == len(weights):
        return ["is a LoRA adapter, not a model; merge it into its base model first"]
    if adapters:
        return [f"{adapters[0]} is a LoRA adapter next to the model's weights; merge it, or take it away"]
    broken = [problem for name in weights for problem in _broken(source, name)]
    missing = [] if source.is_partial else missing_weights(names, source.read)
    if missing == ["weights"]:
        return [_no_weights(list(names))]
    if missing:
        broken.append(f"{len(missing)} of its weight files missing, first {missing[0]}")
    return broken


def _no_weights(names: Sequence[str]) -> str:
    for suffix, words in {
        ".gguf": "holds GGUF weights; give the model in Hugging Face's format",
        ".pth": "holds weights in their authors' own format (.pth); convert them to Hugging Face's",
        ".h5": "holds TensorFlow weights only",
        ".msgpack": "holds Flax weights only",
    }.items():
        if any(name.endswith(suffix) for name in names):
            return words
    return "no weights there (*.safetensors or pytorch_model*.bin)"


def _broken(source: ModelSource, name: str) -> Iterator[str]:
    """Message on what is wrong with one file of weights, by its first bytes and its size."""
    size = source.sizes()[name]
    head = source.piece(name, 0, _HEAD_BYTES)
    if head is None:
        return
    if head.startswith(_LFS):
        yield f"{name} is a Git LFS pointer instead of weights; fetch the files themselves (git lfs pull)"
    elif name.endswith(".safetensors"):
        wanted = _safetensors_bytes(source, name, head)
        if wanted is None:
            yield f"{name} is no safetensors file"
        elif wanted != size:
            yield f"{name} has {size:,} bytes of {wanted:,}; copy or download it again"
    elif not size:
        yield f"{name} is empty"
    elif not head.startswith((_ZIP, b"\x80")):
        yield f"{name} is no file of PyTorch weights"
    elif head.startswith(_ZIP) and _ZIP_END not in (source.piece(name, max(size - _ZIP_TAIL_BYTES, 0), size) or b""):
        yield f"{name} is cut off; copy or download it again"


def _safetensors_bytes(source: ModelSource, name: str, head: bytes) -> int | None:
    """The size that a safetensors header declares; None for other files."""
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= 100_000_000:
        return None
    header = source.piece(name, 8, 8 + length) or b""
    if len(header) < length:
        return 8 + length + 1 if header.lstrip()[:1] == b"{" else None
    try:
        tensors = json.loads(header)
        ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    return int(8 + length + max(ends, default=0))
