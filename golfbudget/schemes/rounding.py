"""Rounding of rows to integers at a scale each, and of scales to what is stored."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_HALF = 2.0**-24


def storable(scale: Tensor) -> Tensor:
    """Steps of any shape rounded to what fp16 can hold, in that shape, staying positive."""
    return scale.clamp(SMALLEST_HALF, torch.finfo(torch.float16).max).half().float()


def round_rows(matrix: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Levels of a float32 matrix [rows, columns] at scales [rows]: rounded to nearest, clipped to +-levels.

    They are float32 of its shape.
    """
    return (matrix / scale.clamp_min(SMALLEST_HALF)[:, None]).round_().clamp_(-levels, levels)
