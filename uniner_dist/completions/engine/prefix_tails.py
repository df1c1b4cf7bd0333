"""Prefix hits that end inside a block: what the questions of a passage share is computed once to the last token.

vLLM's prefix cache shares whole blocks of tokens. All questions about a passage begin alike, and the tokens
after the last whole block of this beginning, half a block on average, are computed again for every question: on short
texts most of all prompt tokens. `PrefixTailConnector` keeps such blocks: once the first question of a passage is
computed, its block is copied aside, and every other question gets the copy in its own block and begins after it.
Questions wait the step or two in which the first one is computed. Keys and values are copied bit for bit.

It is a KV connector, vLLM's interface for caches outside the engine: one instance in the scheduler decides, one in each
worker copies. It reads `SHARED_TOKENS` of a request's `kv_transfer_params`: how many of its first tokens other requests
share. Requests without it are left alone. vLLM imports this module; nothing else may, for it imports vllm. Attributes
of vLLM's objects are read by `runtime.compat.vllm_connectors`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uniner_dist.completions.engine.base import SHARED_TOKENS
from uniner_dist.completions.engine.block_slots import BlockSlots, StepIndex
from uniner_dist.runtime.compat.vllm_connectors import (
    LocalConnector,
    StepMetadata,
    block_bytes,
    block_ids,
    computed_tokens,
    first_prompt_tokens,
    planned_tokens,
    transfer_param,
)

if TYPE_CHECKING:
    import torch

#: Blocks kept aside: more than there are passages of which some question is computed and another one waits.
MOST_SLOTS = 128
#: They take at most this share of the cache's memory on top of it.
_SHARE_OF_CACHE = 1 / 16

_Key = tuple[int, ...]  # the shared tokens from the first one on: keys and values depend on all before


@dataclass
class TailCopies(StepMetadata):
    """What a worker copies around one step."""

    before: list[tuple[int, list[int]]] = field(default_factory=list)  # a slot, and the blocks that get its contents
    after: list[tuple[int, int]] = field(default_factory=list)  # a block, and the slot that keeps it


@dataclass(frozen=True)
class _First:
    """The first request of a beginning, still being computed."""

    request: Any
    block: int  # the tail is written there
    tokens: int  # of its prompt that are computed by then


class PrefixTailConnector(LocalConnector):
    """Slots hold blocks; a slot is found by the tokens up to the end of the tail; the least recently used is replaced.

    vLLM makes one in the scheduler and one in each worker, and calls its methods; their names and arguments are those
    of `KVConnectorBase_V1`.
    """

    _memory: BlockSlots  # in a worker
    _indexed: tuple[TailCopies, StepIndex] | None = None  # of the current step

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._num_slots = max(1, min(MOST_SLOTS, int(self._num_blocks * _SHARE_OF_CACHE)))
        self._slots: OrderedDict[_Key, int] = OrderedDict()
        self._firsts: dict[_Key, _First] = {}
        self._before: dict[int, list[int]] = {}

    # -- in the scheduler ----------------------------------------------------------------------------------------

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int | None, bool]:
        """Return how many tokens of the tail a slot has, and that they are not loaded asynchronously.

        Args:
            request: vLLM's request that is to be scheduled.
            num_computed_tokens: how many of its first tokens vLLM's own prefix cache has.

        Returns:
            Tokens of the tail, if its slot continues what is computed; 0 if there is no such slot; None (ask again)
            while the first request with these tokens computes them. The second value is always False.
        """
        shared, tail = self._tail(request)
        if not tail:
            return 0, False
        key = first_prompt_tokens(request, shared)
        if key in self._firsts:
            return None, False
        return (tail if key in self._slots and num_computed_tokens == shared - tail else 0), False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        """Note that a request is in the next step: it gets its tail from a slot, or is the first to compute it.

        Args:
            request: vLLM's request.
            blocks: all blocks that it was given.
            num_external_tokens: tokens that come from a slot, as `get_num_new_matched_tokens` returned them; 0 if none.
        """
        shared, tail = self._tail(request)
        if not tail:
            return
        key, own = first_prompt_tokens(request, shared), block_ids(blocks)
        position = shared // self._block_size
        if num_external_tokens:
            self._slots.move_to_end(key)
            self._before.setdefault(self._slots[key], []).append(own[position])
        elif key not in self._slots and key not in self._firsts and position < len(own):
            self._firsts[key] = _First(request, own[position], shared)

    def build_connector_meta(self, scheduler_output: Any) -> TailCopies:
        """Return the copies around the step that is now planned.

        A first request that is not in the step is no longer waited for.

        Args:
            scheduler_output: vLLM's plan of the step.
        """
        copies = TailCopies(before=list(self._before.items()))
        self._before = {}
        for key, first in list(self._firsts.items()):
            planned = planned_tokens(scheduler_output, first.request)
            if planned and computed_tokens(first.request) + planned < first.tokens:
                continue  # a long prompt, computed in several steps
            del self._firsts[key]
            if planned:
                copies.after.append((first.block, self._new_slot(key)))
        return copies

    def _tail(self, request: Any) -> tuple[int, int]:
        """Shared tokens of a request, and how many of them follow the last whole block."""
        shared = transfer_param(request, SHARED_TOKENS)
        return shared, shared % self._block_size

    def _new_slot(self, key: _Key) -> int:
        """A slot that is free after the copies before the step."""
        full = len(self._slots) == self._num_slots
        slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
        self._slots[key] = slot
        return slot

    # -- in a worker ---------------------------------------------------------------------------------------------

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        """Make room for the slots next to the cache of every layer.

        Args:
            kv_caches: name of the layer → its keys and values on the device.

        Raises:
            ValueError: a cache is not laid out in the blocks that the scheduler counts.
        """
        self._memory = BlockSlots(self._num_blocks, self._num_slots)
        for name, cache in kv_caches.items():
            self._memory.add(name, cache)

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """Fill blocks from slots, before the step.

        Args:
            forward_context: not used.
            **kwargs: not used.
        """
        if (index := self._index()) is not None:
            self._memory.load(index)

    def wait_for_save(self) -> None:
        """Fill slots from blocks, after the step. The copies are queued on the device; nothing is waited for."""
        if (index := self._index()) is not None:
            self._memory.save(index)
        self._indexed = None

    def _index(self) -> StepIndex | None:
        """The indices of this step, sent once for both directions; None when nothing is copied."""
        copies = self.step_metadata()
        if not copies.before and not copies.after:
            return None
        if self._indexed is None or self._indexed[0] is not copies:
            loads = [(slot, block) for slot, blocks in copies.before for block in blocks]
            self._indexed = copies, self._memory.index(loads, copies.after)
        return self._indexed[1]


def slots_bytes(vllm_config: Any) -> int:
    """Return the memory that slots take on each GPU at most, in bytes.

    Args:
        vllm_config: vLLM's whole configuration; model, parallelism and cache decide the size of a block.
    """
    return MOST_SLOTS * block_bytes(vllm_config)
