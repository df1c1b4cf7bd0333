"""Part A: the copies of prefix tails, as lists (one index for each layer and passage) and indexed (one for all).

    python -m benchmarks.on_gpu.copies '{"blocks": 1024}'

Needs torch only, no vLLM. On a cache with the shape of a 7 B model both ways fill and keep the same blocks; compared
are the bits of all blocks, and the time until the copies are queued and until they are done.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from uniner_dist.completions.engine.block_slots import BlockSlots


@dataclass(frozen=True)
class Shape:
    """Caches and copies of one step; the defaults are a 7 B Llama's, with 40 passages of 12 waiting questions."""

    layers: int = 32
    blocks: int = 1024
    heads: int = 32
    tokens: int = 16
    content: int = 256  # key and value of a head
    slots: int = 128
    passages: int = 40
    questions: int = 12
    repeats: int = 20
    device: str = "cuda"

    def caches(self) -> list[torch.Tensor]:
        """One view [block, head, token, content] a layer, of random bits; blocks of all layers are neighbours."""
        torch.manual_seed(1)
        sizes = (self.blocks, self.layers, self.tokens, self.heads, self.content)
        bits = torch.randint(-(2**15), 2**15, sizes, dtype=torch.int16, device=self.device)
        return list(bits.view(torch.bfloat16).permute(1, 0, 3, 2, 4))

    def copies(self) -> tuple[list[tuple[int, list[int]]], list[tuple[int, int]]]:
        """Loads (a slot, and the blocks that get it) and saves (a block, and its slot) of one step."""
        blocks = iter(torch.randperm(self.blocks, generator=torch.Generator().manual_seed(2)).tolist())
        loads = [(slot, [next(blocks) for _ in range(self.questions)]) for slot in range(self.passages)]
        saves = [(next(blocks), self.slots - 1 - number) for number in range(self.passages)]
        return loads, saves


def with_lists(layers: Sequence[tuple[torch.Tensor, torch.Tensor]], loads: Sequence[Any], saves: Sequence[Any]) -> None:
    """Python lists as indices: what the connector did before."""
    for slot, blocks in loads:
        for cache, slots in layers:
            cache[blocks] = slots[slot]
    for block, slot in saves:
        for cache, slots in layers:
            slots[slot] = cache[block]


def measure(shape: Shape) -> dict[str, Any]:
    """Both ways from the same state; milliseconds are medians of so many repeats."""
    loads, saves = shape.copies()
    listed, indexed = shape.caches(), shape.caches()
    layers = [(cache, cache.new_zeros((shape.slots, *cache.shape[1:]))) for cache in listed]
    memory = BlockSlots(shape.blocks, shape.slots)
    for number, cache in enumerate(indexed):
        memory.add(str(number), cache)
    first = [(block, slot) for slot, blocks in loads for block in blocks[:1]]
    memory.save(memory.index([], first))
    with_lists(layers, [], first)
    pairs = [(slot, block) for slot, blocks in loads for block in blocks]

    def one_index() -> None:
        index = memory.index(pairs, saves)
        memory.load(index)
        memory.save(index)

    times = {
        "lists": _times(shape, lambda: with_lists(layers, loads, saves)),
        "indexed": _times(shape, one_index),
    }
    kept = [blocks for _, blocks in loads]
    memory.load(memory.index([(slot, kept[at][1]) for at, (_, slot) in enumerate(saves)], []))
    with_lists(layers, [(slot, [kept[at][1]]) for at, (_, slot) in enumerate(saves)], [])
    equal = all(torch.equal(a.view(torch.int16), b.view(torch.int16)) for a, b in zip(listed, indexed, strict=True))
    block_bytes = shape.layers * shape.heads * shape.tokens * shape.content * 2
    return {
        "bitwise_equal": equal,
        "bytes_a_step": 2 * (len(pairs) + len(saves)) * block_bytes,
        "slot_bytes": memory.nbytes,
        **{f"{way}_{name}": value for way, found in times.items() for name, value in found.items()},
        "ratio_queued": times["lists"]["queued_ms"] / times["indexed"]["queued_ms"],
        "ratio_done": times["lists"]["done_ms"] / times["indexed"]["done_ms"],
    }


def _times(shape: Shape, copy: Callable[[], None]) -> dict[str, float]:
    wait = torch.cuda.synchronize if shape.device == "cuda" else lambda: None
    copy()
    wait()
    queued, done = [], []
    for _ in range(shape.repeats):
        begun = time.perf_counter()
        copy()
        queued.append(1000 * (time.perf_counter() - begun))
        wait()
        done.append(1000 * (time.perf_counter() - begun))
    return {"queued_ms": statistics.median(queued), "done_ms": statistics.median(done)}


if __name__ == "__main__":
    print(json.dumps(measure(Shape(**json.loads(sys.argv[1])))))
