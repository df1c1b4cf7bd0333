"""What kind of folder this is: a checkpoint that the engine can load, or which other thing, said in words.

Enters: a model's files. Leaves: nothing, or one `ConfigError` with everything that is wrong. Reads listings, small JSON
files and the first bytes of weights, so that a wrong folder is refused in a second; what cannot be seen from outside
(a device, an architecture nobody knows) is left to the first replica.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.model.source import ModelSource
from uniner_dist.model.weights import missing_weights, weight_files

_LFS = b"version https://git-lfs"
_HEAD_BYTES = 512
#: Architectures that read texts and write none, by the end of their names.
_NO_GENERATION = re.compile(
    r".*(ForMaskedLM|ForPreTraining|ForSequenceClassification|ForTokenClassification|ForQuestionAnswering"
    r"|ForMultipleChoice|ForNextSentencePrediction|EncoderModel|RewardModel|ForRewardModel|ForImageClassification"
    r"|(?<!Chat)(?<!Omni)(?<!Audio)(?<!Ultravox)(?<!ChatGLM)(?<!LMHead)Model)"
)
_ENCODERS = frozenset(
    {"albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta"}
)
#: Quantizations that need a GPU; what else a device can or cannot run is for the engine to say.
_GPU_ONLY: Final = frozenset(
    {"bitsandbytes", "exl2", "eetq", "fbgemm_fp8", "hqq", "marlin", "quip", "mxfp4", "modelopt"}
)
#: Ways of loading that need none of the files that are looked at here.
_OTHER_LOADERS = frozenset({"dummy", "runai_streamer", "runai_streamer_sharded", "sharded_state", "tensorizer", "gguf"})


def read_config(source: ModelSource) -> Mapping[str, Any]:
    """The model's `config.json`.

    Raises:
        ConfigError: there is none, it is cut off, or it is another thing.
    """
    if "config.json" not in source.sizes():
        raise ConfigError(_without_config(source))
    content = source.read("config.json")
    if content.startswith(_LFS):
        raise ConfigError(
            f"{source.title}: config.json is a Git LFS pointer; fetch the files themselves (git lfs pull)"
        )
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{source.title}: config.json is cut off or no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{source.title}: config.json is no JSON object")
    return value


def check_form(
    source: ModelSource, gpus: int = 0, quantization: str | None = None, extra: Mapping[str, Any] | None = None
) -> None:
    """Refuse what no engine can load.

    Args:
        gpus: of one replica; 0 means a CPU.
        quantization: as configured.
        extra: further arguments of the engine, which may change what is loaded and how.

    Raises:
        ConfigError: with every problem found.
    """
    extra = extra or {}
    config = read_config(source)
    problems = [] if "hf_overrides" in extra else list(_architecture_problems(config))
    problems += _quantization_problems(config, gpus, quantization)
    if extra.get("load_format", "auto") not in _OTHER_LOADERS:
        problems += _weight_problems(source)
    if problems:
        raise ConfigError([f"{source.title}: {problem}" for problem in problems])


def _without_config(source: ModelSource) -> str:
    names = source.sizes()
    if any(name.endswith(".gguf") for name in names):
        return f"{source.title}: holds GGUF weights without a config.json; give the model in Hugging Face's format"
    if "adapter_config.json" in names:
        return f"{source.title}: is a LoRA adapter, not a model; merge it into its base model first"
    if "params.json" in names:
        return f"{source.title}: is in its authors' own format (params.json); convert it to Hugging Face's"
    return f"{source.title}: no config.json there; give a Hugging Face name or a folder in its format"


def _architecture_problems(config: Mapping[str, Any]) -> Iterator[str]:
    names = config.get("architectures") or []
    kind = config.get("model_type")
    if not names and not kind:
        yield "config.json names neither architectures nor a model_type"
    elif config.get("is_encoder_decoder"):
        yield f"is an encoder-decoder ({', '.join(names) or kind}); a decoder that writes texts is needed"
    elif (names and all(_NO_GENERATION.fullmatch(str(name)) for name in names)) or (not names and kind in _ENCODERS):
        yield f"is no model that writes texts ({', '.join(names) or kind}), such as LlamaForCausalLM"


def _quantization_problems(config: Mapping[str, Any], gpus: int, quantization: str | None) -> Iterator[str]:
    own = config.get("quantization_config") or {}
    method = quantization or (own.get("quant_method") if isinstance(own, dict) else None)
    if method and not gpus and str(method).lower() in _GPU_ONLY:
        yield f"its weights are quantized by {method}, which a CPU cannot run; set pool.gpus_per_replica"


def _weight_problems(source: ModelSource) -> list[str]:
    names = source.sizes()
    weights = weight_files(names, source.read)
    adapters = [name for name in weights if name.startswith("adapter_model")]
    if adapters and len(adapters) == len(weights):
        return ["is a LoRA adapter, not a model; merge it into its base model first"]
    if adapters:
        return [f"{adapters[0]} is a LoRA adapter beside the model's weights; merge it, or take it away"]
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
    """What is wrong with one file of weights, as its first bytes and its size say."""
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
    elif not head.startswith((b"PK\x03\x04", b"\x80")):
        yield f"{name} is no file of PyTorch weights"
    elif head.startswith(b"PK\x03\x04") and b"PK\x05\x06" not in (
        source.piece(name, max(size - 65_558, 0), size) or b""
    ):
        yield f"{name} is cut off; copy or download it again"


def _has_zip_end(source: ModelSource, name: str, size: int) -> bool:
    """Whether the directory at the end of a zip file is there; a comment behind it has 64 KiB at most."""
    tail = source.piece(name, max(size - 65_558, 0), size)
    return tail is None or b"PK\x05\x06" in tail


def _safetensors_bytes(source: ModelSource, name: str, head: bytes) -> int | None:
    """The size that a safetensors file says it has; None for another thing."""
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
