"""Rates that a GPU should reach, reckoned from its peak: `python -m benchmarks.on_gpu.reckoned` prints the table.

Nothing here is measured. A prompt costs two operations for each weight and computed token; how many tokens are computed
for a prompt is counted in docs/scaling.md, and which share of the peak is reached is an assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Weights of a 7 B Llama, and the assumed share of a GPU's peak.
PARAMETERS, SHARE_OF_PEAK = 6.7e9, 0.4
#: Tokens of a prompt, and those of them that no cache has, with its answer: docs/scaling.md, 673 for 20 questions.
PROMPT_TOKENS, COMPUTED_TOKENS = 146, 673 / 20
#: GB that the weights take in bfloat16, and a token in the cache: keys and values of 32 layers of 4,096 numbers.
WEIGHTS_GB, TOKEN_GB = 13.5, 2 * 32 * 4096 * 2 / 1e9


@dataclass(frozen=True)
class Gpu:
    """Dense bfloat16 in operations per second, and memory in GB, as the maker states them."""

    flops: float
    memory_gb: float


GPUS: Mapping[str, Gpu] = {
    "L4": Gpu(121e12, 24),
    "A100 40 GB": Gpu(312e12, 40),
    "A100 80 GB": Gpu(312e12, 80),
    "L40S": Gpu(362e12, 48),
    "H100 SXM": Gpu(989e12, 80),
    "H200": Gpu(989e12, 141),
}


def prompts_per_s(gpu: Gpu, share: float = SHARE_OF_PEAK) -> float:
    """Prompts a second of one GPU."""
    return gpu.flops * share / (2 * PARAMETERS * COMPUTED_TOKENS)


def table() -> str:
    """One line a GPU, in Markdown; `plan.tokens_per_second` counts all tokens of prompts, cached or not."""
    lines = [
        "| GPU | dense bf16, TFLOP/s | prompts/s at 25 % | at 40 % | at 50 % | `plan.tokens_per_second` at 40 % "
        "| tokens in the cache |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, gpu in GPUS.items():
        rates = " | ".join(f"{prompts_per_s(gpu, share):,.0f}" for share in (0.25, 0.4, 0.5))
        tokens = round(prompts_per_s(gpu) * PROMPT_TOKENS, -3)
        room = (0.9 * gpu.memory_gb - WEIGHTS_GB - 2) / TOKEN_GB
        lines.append(f"| {name} | {gpu.flops / 1e12:.0f} | {rates} | {tokens:,.0f} | {round(room, -3):,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
