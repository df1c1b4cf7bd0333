"""Blocks copied aside and back are the same bits, however an attention kernel lays its cache out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

from uniner_dist.completions.engine.block_slots import BlockSlots

LAYERS, BLOCKS, HEADS, TOKENS, CONTENT = 3, 24, 4, 16, 8
#: Memory orders of a cache [layer, block, head, token, content] in which its content is dense.
ORDERS = [(*order, 4) for order in itertools.permutations(range(4))]


def caches(order: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    """Random bytes, NaNs and denormals among them, as one view [block, head, token, content] per layer."""
    sizes = (LAYERS, BLOCKS, HEADS, TOKENS, CONTENT)
    physical = [sizes[dimension] for dimension in order]
    bits = torch.randint(0, 256, (*physical[:-1], CONTENT * dtype.itemsize), dtype=torch.uint8)
    return list(bits.view(dtype).permute([order.index(dimension) for dimension in range(5)]))


def bits(cache: torch.Tensor) -> torch.Tensor:
    return cache.contiguous().view(torch.uint8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.uint8, torch.float8_e4m3fn])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("LBHNC"[dimension] for dimension in order))
def test_blocks_are_copied_bit_for_bit_in_every_layout(order: tuple[int, ...], dtype: torch.dtype) -> None:
    layers = caches(order, dtype)
    before = [bits(cache).clone() for cache in layers]
    slots = BlockSlots(BLOCKS, num_slots=3)
    for number, cache in enumerate(layers):
        slots.add(f"layer {number}", cache)
    slots.save(slots.index([], [(5, 0), (3, 2), (6, 2)]))
    slots.load(slots.index([(0, 7), (0, 9), (2, 11)], []))
    for cache, old in zip(layers, before, strict=True):
        wanted = old.clone()
        wanted[[7, 9, 11]] = old[[5, 5, 6]]
        assert torch.equal(bits(cache), wanted)
    assert slots.nbytes == LAYERS * 3 * HEADS * TOKENS * CONTENT * dtype.itemsize


def test_both_directions_of_a_step_share_one_index() -> None:
    cache = torch.arange(4 * 2 * 2 * 2, dtype=torch.float32).reshape(4, 2, 2, 2)
    old = cache.clone()
    slots = BlockSlots(4, num_slots=2)
    slots.add("layer", cache)
    slots.save(slots.index([], [(0, 0)]))
    index = slots.index([(0, 1)], [(1, 0), (2, 1)])
    slots.load(index)
    slots.save(index)
    slots.load(slots.index([(0, 2), (1, 3)], []))
    assert torch.equal(cache, torch.stack([old[0], old[0], old[0], old[2]]))


def test_a_kernel_with_smaller_blocks_gets_all_of_a_schedulers_block() -> None:
    cache = torch.arange(8 * 2 * 4 * 2, dtype=torch.int16).reshape(8, 2, 4, 2)
    old = cache.clone()
    slots = BlockSlots(4, num_slots=1)
    slots.add("layer", cache)
    slots.save(slots.index([], [(1, 0)]))
    slots.load(slots.index([(0, 3)], []))
    assert torch.equal(cache, torch.cat([old[:6], old[2:4]]))


def test_the_older_layout_with_keys_and_values_first_works_too() -> None:
    cache = torch.arange(2 * 5 * 3 * 2, dtype=torch.float32).reshape(2, 5, 3, 2)
    old = cache.clone()
    slots = BlockSlots(5, num_slots=1)
    slots.add("layer", cache)
    slots.save(slots.index([], [(1, 0)]))
    slots.load(slots.index([(0, 4)], []))
    assert torch.equal(cache[:, 4], old[:, 1])
    assert torch.equal(cache[:, :4], old[:, :4])


def test_a_cache_without_the_schedulers_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="no 24 blocks in the cache of layer 0, \\(25, 7, 16, 8\\)"):
        BlockSlots(24, num_slots=1).add("layer 0", torch.zeros(25, 7, 16, 8))
