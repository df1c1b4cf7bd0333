"""Asks vLLM, before anything is started, whether it runs a quantization on this device.

Reads the few small files that say how weights are quantized, and the engine's settings. Returns vLLM's own message, or
None. vLLM is imported in a process of its own (`python -m`), because it changes the process that imports it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from uniner_dist.completions.engine.base import EngineSpec
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.hashing import digest
from uniner_dist.model.cache import remember, remembered
from uniner_dist.runtime.compat.vllm_engines import parsed_arguments, quantization_of

_FACTS = "quantizations"
_TIMEOUT_S = 600
#: Characters of vLLM's message that are shown: it lists every method that it knows.
_LONGEST = 240


def quantization_refusal(spec: EngineSpec, files: Mapping[str, bytes], environment: Mapping[str, str]) -> str | None:
    """Return a message on why vLLM does not load weights quantized like these; None when it does, or gives no answer.

    Args:
        spec: model, revision, data type and number of GPUs of the replica.
        files: name → contents of `config.json` and of those next to it that describe a quantization.
        environment: variables that a replica's process has, on top of those of this process.
    """
    key = _key(spec, files)
    if key in remembered(_FACTS):
        return None
    answer = _ask_in_a_process(spec, files, environment)
    if answer is None:  # the first replica says what is wrong
        return None
    if answer["refusal"] is None:
        remember(_FACTS, {key: 1})
        return None
    return str(answer["refusal"])


def _ask_in_a_process(
    spec: EngineSpec, files: Mapping[str, bytes], environment: Mapping[str, str]
) -> Mapping[str, object] | None:
    """`{"refusal": message or None}`; None where the process gives no answer."""
    with tempfile.TemporaryDirectory(prefix="uniner-dist-config-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        model = spec.model.model_copy(update={"name": folder, "revision": None}).model_dump()
        fields = {"max_model_len": spec.max_model_len, "gpus": spec.gpus, "extra": dict(spec.extra)}
        command = [sys.executable, "-m", __name__, json.dumps({"model": model, **fields})]
        try:
            done = subprocess.run(
                command, env=os.environ | environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            answer: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
        except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
            return None
    return answer


def _key(spec: EngineSpec, files: Mapping[str, bytes]) -> str:
    """Cache key of everything that decides the answer; an accepted one is not asked again, as that takes seconds."""
    found = find_spec("vllm")
    installed = (found.origin, os.stat(found.origin).st_mtime_ns) if found and found.origin else None
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return digest({"files": hashes, "spec": asdict(spec) | {"model_identity": ""}, "vllm": installed}, 32)


def _ask(spec: EngineSpec) -> str | None:
    """vLLM's error for a configuration, when it builds one for an engine."""
    from uniner_dist.completions.engine.vllm_engine import engine_arguments

    # Neither a KV connector nor a proposer matters here, and both would be set up.
    arguments = parsed_arguments(engine_arguments(replace(spec, prefix_tails=False)))
    try:
        quantization_of(arguments)
    except (ValueError, TypeError, ImportError, NotImplementedError, KeyError) as error:
        return _format_error(error)
    return None


def _format_error(error: Exception) -> str:
    """The bare message, without the input that pydantic adds to it, and shortened."""
    errors = getattr(error, "errors", None)
    messages = [str(one["msg"]).removeprefix("Value error, ") for one in errors()] if callable(errors) else []
    words = "; ".join(messages) or str(error) or type(error).__name__
    return textwrap.shorten(words, _LONGEST, placeholder=" …")


def _main(fields: dict[str, Any]) -> None:
    model = ModelConfig(**fields.pop("model"))
    print("\n" + json.dumps({"refusal": _ask(EngineSpec("vllm", model, **fields))}), flush=True)
    os._exit(0)  # unloading vLLM's modules takes seconds


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
