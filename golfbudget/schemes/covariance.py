"""The uncentred covariance of a matrix's inputs, from calibration text: checked, scaled and damped."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.schemes.base import Context

#: Added to the diagonal, as a share of its mean: GPTQ's own damping.
_DAMPING = 0.01
_SYMMETRIC = 1e-4


def input_covariance(context: Context, columns: int, scheme: str) -> Tensor:
    """The context's covariance in double precision [columns, columns], of mean diagonal 1 before 1 % is added to it.

    `UsageError` where there is none, or where it is no second moment of that many inputs.
    """
    if context.covariance is None:
        raise UsageError(f"scheme {scheme} needs the second moment of the matrix's inputs: give calibration text")
    covariance = context.covariance.double()
    if covariance.shape != (columns, columns):
        raise UsageError(
            f"scheme {scheme}: the second moment has shape {list(covariance.shape)}, expected {[columns, columns]}, "
            "columns by columns of the matrix"
        )
    mean = covariance.diagonal().mean()
    apart = (covariance - covariance.T).abs().max()
    if not bool(torch.isfinite(covariance).all()) or bool(apart > _SYMMETRIC * mean.abs()):
        raise UsageError(f"scheme {scheme}: the second moment is not symmetric and finite")
    # Inputs that are always zero weigh nothing: any rounding does.
    scaled = (covariance + covariance.T) / (2 * mean) if mean > 0 else torch.zeros_like(covariance)
    damped = scaled + (_DAMPING if mean > 0 else 1.0) * torch.eye(columns, dtype=torch.float64)
    if mean < 0 or int(torch.linalg.cholesky_ex(damped).info):
        raise UsageError(f"scheme {scheme}: the second moment has a negative direction, so it is none of any inputs")
    return damped
