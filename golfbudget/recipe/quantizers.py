"""Integer quantisers of recipes, as public export scripts compute them."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.recipe.config import Correction, Integer


def quantise_tensor(tensor: Tensor, rule: Integer) -> tuple[Tensor, Tensor]:
    """Values int8 of the tensor's shape, and scales [rows] for a matrix, a scalar for anything else.

    Values are divided by the scale before it is rounded to its stored type, as the public scripts do.
    """
    tensor = tensor.float()
    rows = tensor if tensor.ndim == 2 else tensor.reshape(1, -1)
    clips = _clips(rows, rule)
    if tensor.ndim == 2:
        scales = (clips / rule.top).clamp_min(rule.floor)
        scales = torch.where(scales > 0, scales, torch.ones(()))
        stored = scales.to(getattr(torch, rule.scale_dtype)).contiguous()
    else:
        scales = torch.where(clips > 0, clips / rule.top, torch.ones(()))
        stored = scales[0].to(getattr(torch, rule.scalar_scale_dtype))
    if rule.clip_deviations is None:
        rows = torch.maximum(torch.minimum(rows, clips[:, None]), -clips[:, None])
    levels = rows / scales[:, None]
    if rule.step > 1:
        levels = (levels / rule.step).round() * rule.step
    values = levels.round().clamp(rule.bottom, rule.top).to(torch.int8)
    return values.reshape(tensor.shape).contiguous(), stored


def _clips(rows: Tensor, rule: Integer) -> Tensor:
    if rule.clip_deviations is not None:
        return rule.clip_deviations * (rows.std(dim=1) if rows.shape[1] > 1 else rows.abs()[:, 0])
    if rule.clip_quantile is not None:
        return torch.quantile(rows.abs(), rule.clip_quantile, dim=1)
    return rows.abs().amax(dim=1)


def dequantise(values: Tensor, scales: Tensor) -> Tensor:
    """The float32 tensor that values and scales stand for."""
    return values.float() * scales.float().view(-1, *([1] * (values.ndim - 1)))


def low_rank_correction(residual: Tensor, rule: Correction) -> dict[str, Tensor]:
    """The stored tables of a correction, by suffix: left factor and its scale, right factor and its group scales.

    The factors are the leading singular pairs, the root of each singular value on either side.
    """
    rows, columns = residual.shape
    rank = min(rule.rank, rows, columns)
    # The second moment of the shorter side is small, and its eigenvectors give the leading pairs.
    moment = residual.T @ residual if columns <= rows else residual @ residual.T
    values, vectors = torch.linalg.eigh(moment.double())
    singular = values[-rank:].flip(0).clamp_min(1e-30).sqrt()
    leading = vectors[:, -rank:].flip(1)
    if columns <= rows:
        left, right = residual.double() @ leading / singular.sqrt(), (leading * singular.sqrt()).T
    else:
        left, right = leading * singular.sqrt(), (residual.T.double() @ leading / singular.sqrt()).T
    left_values, left_scale = _asymmetric(left.float().reshape(1, -1), rule.left_bits)
    # As many groups as the rule's size needs, all of one size, so that a decoder knows it from the number of scales.
    groups = -(-columns // rule.group)
    size = -(-columns // groups)
    wide = torch.zeros(rank, groups * size)
    wide[:, :columns] = right.float()
    right_values, right_scales = _asymmetric(wide.reshape(-1, size), rule.right_bits)
    return {
        ".lqA_a": left_values.reshape(rows, rank),
        ".lqAs_a": left_scale[0],
        ".lqB_a": right_values.reshape(rank, -1)[:, :columns].contiguous(),
        ".lqBs_a": right_scales,
    }


def apply_correction(tables: dict[str, Tensor]) -> Tensor:
    """What a correction adds to its matrix, float32 [rows, columns]."""
    left = tables[".lqA_a"].float() * tables[".lqAs_a"].float()
    right = tables[".lqB_a"].float()
    rank, columns = right.shape
    groups = tables[".lqBs_a"].numel() // rank
    scales = tables[".lqBs_a"].float().view(rank, groups).repeat_interleave(-(-columns // groups), dim=1)
    return left @ (right * scales[:, :columns])


def _asymmetric(rows: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Integers from -2^(bits-1) to 2^(bits-1) - 1 by absolute maximum, and an fp16 scale a row."""
    top = 2 ** (bits - 1) - 1
    scales = (rows.abs().amax(dim=1) / (top + 0.5)).clamp_min(1e-10)
    values = (rows / scales[:, None]).round().clamp(-top - 1, top)
    return values.to(torch.int8), scales.half()
