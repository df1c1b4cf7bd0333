"""Checks that a folder is a checkpoint that the engine can load, and says what it is otherwise.

Raises one `ConfigError` with everything that is wrong. Reads listings, small JSON files and the first bytes of weights,
so that a wrong folder is refused in a second; what cannot be seen from outside (a device, an architecture nobody knows)
is left to the first replica.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.model.source import ModelSource
from uniner_dist.model.weight_problems import weight_problems

_LFS = b"version https://git-lfs"
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
#: Ways of loading that take `*.bin` where there are safetensors too (vLLM's `DefaultModelLoader`).
_LOADERS_OF_BIN = frozenset({"pt", "npcache"})
#: Files other than `config.json` that may say how weights are quantized.
QUANTIZATION_FILES: Final = ("hf_quant_config.json", "quant_config.json", "quantize_config.json")


def read_config(source: ModelSource) -> Mapping[str, object]:
    """Return the model's `config.json`.

    Args:
        source: the model's files.

    Raises:
        ConfigError: there is none, it is cut off, or it is something else; the message says what the folder holds
            instead.
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
        raise ConfigError(f"{source.title}: config.json is not a JSON object")
    return value


def check_form(
    source: ModelSource, gpus: int = 0, quantization: str | None = None, extra: Mapping[str, object] | None = None
) -> None:
    """Refuse what no engine can load.

    Args:
        source: the model's files; only listings, small JSON files and file headers are read.
        gpus: GPUs of one replica; 0 means a CPU.
        quantization: vLLM's name, as in `model.quantization`; None for what the files say.
        extra: further arguments of the engine (`engine.extra`), which may change what is loaded and how; None for none.

    Raises:
        ConfigError: with every problem found.
    """
    extra = extra or {}
    config = read_config(source)
    problems = [] if "hf_overrides" in extra else list(_architecture_problems(config))
    problems += _quantization_problems(quantization_method(source, quantization), gpus)
    load_format = extra.get("load_format", "auto")
    if load_format not in _OTHER_LOADERS:
        problems += weight_problems(source)
    if load_format in _LOADERS_OF_BIN and any(name.endswith(".safetensors") for name in source.sizes()):
        problems.append(
            f"its safetensors say which model it is; engine.extra.load_format={load_format} would load other files: "
            "leave that option out, or give a folder that has those files only"
        )
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
    stated = config.get("architectures") or []
    names = [stated] if isinstance(stated, str) else list(stated)
    kind = config.get("model_type")
    if not names and not kind:
        yield "config.json names neither architectures nor a model_type"
    elif config.get("is_encoder_decoder"):
        yield f"is an encoder-decoder ({', '.join(names) or kind}); a decoder that writes texts is needed"
    elif (names and all(_NO_GENERATION.fullmatch(str(name)) for name in names)) or (not names and kind in _ENCODERS):
        yield f"is not a model that writes texts ({', '.join(names) or kind}), such as LlamaForCausalLM"


def quantization_method(source: ModelSource, quantization: str | None = None) -> str | None:
    """Return how weights are quantized, in vLLM's words where a name is given; None for weights that are not.

    Args:
        source: the model's files, of which `config.json` is read.
        quantization: vLLM's name, as in `model.quantization`, which counts before that of the files; None for theirs.

    Raises:
        ConfigError: `config.json` cannot be read.
    """
    own = read_config(source).get("quantization_config") or read_config(source).get("compression_config") or {}
    named = quantization or (own.get("quant_method", "an unnamed method") if own and isinstance(own, dict) else None)
    if named is None and any(name in source.sizes() for name in QUANTIZATION_FILES):
        return "what its quantization files say"
    return None if named is None else str(named)


def quantization_files(source: ModelSource) -> dict[str, bytes]:
    """Return name → contents of the files that decide whether a device runs a quantization.

    Args:
        source: the model's files; those that it lacks are left out.
    """
    names = ("config.json", *QUANTIZATION_FILES)
    return {name: source.read(name) for name in names if name in source.sizes()}


def _quantization_problems(method: str | None, gpus: int) -> Iterator[str]:
    if method and not gpus and method.lower() in _GPU_ONLY:
        yield f"its weights are quantized by {method}, which a CPU cannot run; set pool.gpus_per_replica"
