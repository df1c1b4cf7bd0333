"""Muon: momentum whose update is orthogonalised, for the weight matrices of hidden layers.

Method: Keller Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024); the quintic
Newton-Schulz coefficients are theirs, and so is bfloat16 for them. Matrices of one shape are orthogonalised together,
which on a CPU is several times faster than one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Map a stack [n, rows, columns] to about U Vᵀ of each matrix's singular value decomposition."""
    a, b, c = 3.4445, -4.7750, 2.0315
    flip = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if flip else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if flip else x


class Muon:
    """Nesterov momentum, orthogonalised, with the update scaled to the root mean square 0.2 * learning rate."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self._groups: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            self._groups.setdefault(parameter.shape, []).append(parameter)
        self._buffers = {shape: torch.zeros(len(group), *shape) for shape, group in self._groups.items()}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, learning_rate: float) -> None:
        for shape, group in self._groups.items():
            gradient = torch.stack([p.grad if p.grad is not None else torch.zeros_like(p) for p in group])
            buffer = self._buffers[shape]
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonalise(gradient.lerp(buffer, self.momentum).bfloat16()).float()
            scale = learning_rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(group, update, strict=True):
                parameter.mul_(1 - 0.1 * learning_rate).add_(change, alpha=-scale)
                parameter.grad = None
