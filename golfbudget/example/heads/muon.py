"""Muon as torch has it, in float32: torch multiplies in bfloat16, which ordinary processors do ten times slower."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

_COEFFICIENTS, _ROUNDS, _LEAST = (3.4445, -4.775, 2.0315), 5, 1e-7


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [n, rows, columns] to about the nearest with equal singular values, of that shape, by Newton-Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(_LEAST)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if tall else x
    return found


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, for matrices; as `torch.optim.Muon` without weight decay."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        del closure
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    kept = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                    kept.lerp_(matrix.grad, 1 - group["momentum"])
                    alike[matrix.shape].append((matrix, matrix.grad.lerp(kept, group["momentum"])))
            for shape, pairs in alike.items():
                moves = orthogonalised(torch.stack([wanted for _, wanted in pairs]))
                rate = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                for (matrix, _), move in zip(pairs, moves, strict=True):
                    matrix.add_(move, alpha=-rate)
