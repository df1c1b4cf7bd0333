"""vLLM's interface for caches outside the engine (a KV connector), and what one reads of its scheduler's objects.

Importing this imports vllm, so only a connector does, which vLLM itself imports. Configurations, requests, blocks and
the scheduler's plan are vLLM's own: their attributes are read here only. `tests/unit/test_vllm_interfaces.py` looks
every one up, and says what a release has changed.
"""

from __future__ import annotations

from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata
from vllm.utils.torch_utils import kv_cache_dtype_str_to_dtype


class StepMetadata(KVConnectorMetadata):  # type: ignore[misc]
    """What the scheduler's half of a connector tells the workers' halves about one step."""


class LocalConnector(KVConnectorBase_V1):  # type: ignore[misc]
    """A connector that keeps blocks on the device, copies them around a step, and may lose them at any time."""

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._block_size: int = vllm_config.cache_config.block_size
        self._num_blocks: int = kv_cache_config.num_blocks

    @property
    def requires_kv_delivery(self) -> bool:
        """No: what is lost is computed again."""
        return False

    def step_metadata(self) -> Any:
        """What `build_connector_meta` returned for the step at work; in a worker."""
        return self._get_connector_metadata()

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Copies before a step are done when it begins."""

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """Blocks are kept after a step, not layer by layer."""


def transfer_param(request: Any, name: str) -> int:
    """A number that the request's `kv_transfer_params` give its connector; 0 where there is none."""
    number: int = (request.kv_transfer_params or {}).get(name, 0)
    return number


def first_prompt_tokens(request: Any, count: int) -> tuple[int, ...]:
    """The first token ids of a request's prompt."""
    return tuple(request.prompt_token_ids[:count])


def block_ids(blocks: Any) -> list[int]:
    """Blocks of a request, in the order of its tokens; of the first group of layers, as there is one."""
    ids: list[int] = blocks.get_block_ids()[0]
    return ids


def planned_tokens(scheduler_output: Any, request: Any) -> int:
    """How many tokens of a request the step that is now planned computes; 0 where the request is not in it."""
    planned: int = scheduler_output.num_scheduled_tokens.get(request.request_id, 0)
    return planned


def computed_tokens(request: Any) -> int:
    """How many tokens of a request are computed before the step that is now planned."""
    computed: int = request.num_computed_tokens
    return computed


def block_bytes(vllm_config: Any) -> int:
    """Memory of one block on each GPU, in bytes: its keys and values in every layer."""
    model, cache = vllm_config.model_config, vllm_config.cache_config
    layers = model.get_num_layers(vllm_config.parallel_config)
    width = model.get_num_kv_heads(vllm_config.parallel_config) * model.get_head_size()
    number = kv_cache_dtype_str_to_dtype(cache.cache_dtype, model).itemsize
    return int(cache.block_size * layers * 2 * width * number)
