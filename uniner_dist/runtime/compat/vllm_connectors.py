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
    """What the scheduler's half of a connector sends to the workers' halves about one step."""


class LocalConnector(KVConnectorBase_V1):  # type: ignore[misc]
    """A connector that keeps blocks on the device, copies them around a step, and may lose them at any time.

    Args:
        vllm_config: vLLM's `VllmConfig`.
        role: vLLM's `KVConnectorRole`: the scheduler's half or a worker's.
        kv_cache_config: vLLM's `KVCacheConfig`, which says how many blocks there are.
    """

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._block_size: int = vllm_config.cache_config.block_size
        self._num_blocks: int = kv_cache_config.num_blocks

    @property
    def requires_kv_delivery(self) -> bool:
        """No: what is lost is computed again."""
        return False

    def step_metadata(self) -> Any:
        """Return in a worker what `build_connector_meta` returned in the scheduler for the present step."""
        return self._get_connector_metadata()

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Do nothing: copies before a step are queued when it begins, for all layers.

        Args:
            layer_name: the layer that vLLM is about to compute.
        """

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """Do nothing: blocks are kept after a step, not layer by layer.

        Args:
            layer_name: the layer that vLLM has computed.
            kv_layer: its cache.
            attn_metadata: attention metadata of the step.
            **kwargs: what a later vLLM may add.
        """


def transfer_param(request: Any, name: str) -> int:
    """Return a number that the request's `kv_transfer_params` give its connector; 0 where there is none.

    Args:
        request: vLLM's `Request`, in the scheduler.
        name: key of the number, such as `SHARED_TOKENS`.
    """
    number: int = (request.kv_transfer_params or {}).get(name, 0)
    return number


def first_prompt_tokens(request: Any, count: int) -> tuple[int, ...]:
    """Return the first token ids of a request's prompt.

    Args:
        request: vLLM's `Request`, in the scheduler.
        count: how many; all where the prompt is shorter.
    """
    return tuple(request.prompt_token_ids[:count])


def block_ids(blocks: Any) -> list[int]:
    """Return the numbers of a request's blocks, in the order of its tokens.

    Args:
        blocks: vLLM's `KVCacheBlocks` of the request; those of the first group of layers are read, as there is one.
    """
    ids: list[int] = blocks.get_block_ids()[0]
    return ids


def planned_tokens(scheduler_output: Any, request: Any) -> int:
    """Return how many tokens of a request the step that is now planned computes; 0 where the request is not in it.

    Args:
        scheduler_output: vLLM's `SchedulerOutput` of the step.
        request: vLLM's `Request`, in the scheduler.
    """
    planned: int = scheduler_output.num_scheduled_tokens.get(request.request_id, 0)
    return planned


def computed_tokens(request: Any) -> int:
    """Return how many tokens of a request are computed before the step that is now planned.

    Args:
        request: vLLM's `Request`, in the scheduler.
    """
    computed: int = request.num_computed_tokens
    return computed


def block_bytes(vllm_config: Any) -> int:
    """Return the memory of one block on each GPU, in bytes: its keys and values in every layer.

    Args:
        vllm_config: vLLM's `VllmConfig` of the engine.
    """
    model, cache = vllm_config.model_config, vllm_config.cache_config
    layers = model.get_num_layers(vllm_config.parallel_config)
    width = model.get_num_kv_heads(vllm_config.parallel_config) * model.get_head_size()
    number = kv_cache_dtype_str_to_dtype(cache.cache_dtype, model).itemsize
    return int(cache.block_size * layers * 2 * width * number)
