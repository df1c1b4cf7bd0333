"""Blocks of KV caches kept aside on the device, and copied in and out around a step. Needs torch only.

Python lists as indices would make torch copy an index from pageable memory, and wait for it, once for each layer and
list: over a thousand waits a step with 32 layers, in which an asynchronously scheduled engine is idle. Here all
indices of a step travel once, from pinned memory and without a wait, and each layer is one gather and one scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepIndex:
    """Where the blocks of one step are copied from and to: index tensors on the device, of equal length in pairs."""

    loaded_slots: torch.Tensor
    loaded_blocks: torch.Tensor
    saved_blocks: torch.Tensor
    saved_slots: torch.Tensor


class BlockSlots:
    """Room for a number of blocks next to the cache of every layer.

    Args:
        num_blocks: blocks of a cache, as the scheduler counts them.
        num_slots: blocks that are kept aside.
    """

    def __init__(self, num_blocks: int, num_slots: int) -> None:
        self._num_blocks, self._num_slots = num_blocks, num_slots
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []  # blocks of the cache, slots

    @property
    def nbytes(self) -> int:
        """Memory of all slots."""
        return sum(slots.nbytes for _, slots in self._layers)

    def add(self, name: str, cache: torch.Tensor) -> None:
        """Make room next to the cache of a layer, whichever of its first two dimensions counts the blocks.

        A kernel may have its own, smaller blocks, a whole number of which make one of the scheduler's.

        Args:
            name: name of the layer, for the error.
            cache: its keys and values on the device, copied from and to in place.

        Raises:
            ValueError: the cache is not laid out in the blocks that the scheduler counts.
        """
        sizes = list(cache.shape[:2])
        exact = [at for at, size in enumerate(sizes) if size == self._num_blocks]
        split = [at for at, size in enumerate(sizes) if size and size % self._num_blocks == 0]
        if not exact and not split:
            shape = tuple(cache.shape)
            raise ValueError(f"engine.prefix_tails: no {self._num_blocks} blocks in the cache of {name}, {shape}")
        at = (exact or split)[0]
        blocks = _as_integers(cache).unflatten(at, (self._num_blocks, -1)).movedim(at, 0)
        self._layers.append((blocks, blocks.new_empty((self._num_slots, *blocks.shape[1:]))))

    def index(self, loads: Sequence[tuple[int, int]], saves: Sequence[tuple[int, int]]) -> StepIndex:
        """Send the indices of a step to the device, without waiting for it.

        Args:
            loads: (slot, block) of each copy before the step; no block twice.
            saves: (block, slot) of each copy after the step; for a slot that occurs twice the last one counts.

        Returns:
            The indices as tensors on the device of the first layer, for `load` and `save`.
        """
        import torch

        device = self._layers[0][0].device
        last = {slot: block for block, slot in saves}
        rows = [[slot for slot, _ in loads], [block for _, block in loads], list(last.values()), list(last)]
        flat = torch.tensor([number for row in rows for number in row], pin_memory=device.type == "cuda")
        return StepIndex(*flat.to(device, non_blocking=True).split([len(row) for row in rows]))

    def load(self, index: StepIndex) -> None:
        """Fill blocks from slots, in every layer.

        Args:
            index: of the step that begins; its `loaded_…` tensors are used.
        """
        if len(index.loaded_blocks):
            for blocks, slots in self._layers:
                blocks[index.loaded_blocks] = slots[index.loaded_slots]

    def save(self, index: StepIndex) -> None:
        """Fill slots from blocks, in every layer.

        Args:
            index: of the step that has ended; its `saved_…` tensors are used.
        """
        if len(index.saved_blocks):
            for blocks, slots in self._layers:
                slots[index.saved_slots] = blocks[index.saved_blocks]


def _as_integers(cache: torch.Tensor) -> torch.Tensor:
    """The same memory as integers: copies are then of bits, and exist for every type, such as 8-bit floats."""
    import torch

    return cache.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[cache.element_size()])
