"""How far a matrix's outputs move when its inputs are known by their second moments only: a model's word on quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def output_error(
    reference: Mapping[str, Tensor], decoded: Mapping[str, Tensor], moments: Mapping[str, Tensor], names: Sequence[str]
) -> float | None:
    """E‖(Ŵ-W)x‖² over E‖Wx‖² = tr(E M Eᵀ) / tr(W M Wᵀ), M = E[xxᵀ], in the worst matrix; None where no M is known.

    Of an output head these are logits before any cap.  `reference`, `decoded` [rows, columns] and `moments` [columns,
    columns] go by the names given.
    """
    found = [
        _energy(decoded[name].double() - reference[name].double(), moment) / energy
        for name in names
        if (moment := moments.get(name)) is not None and (energy := _energy(reference[name].double(), moment)) > 0
    ]
    return max(found, default=None)


def _energy(matrix: Tensor, moment: Tensor) -> float:
    return float(torch.sum((matrix @ moment.double()) * matrix))
