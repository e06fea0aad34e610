"""What calibration text tells a scheme: tokens' frequencies, and the uncentred covariance of a matrix's inputs."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.schemes.base import Context
from golfbudget.schemes.head_states import HeadStates

_PART = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?")


def counts_of(matrix: Tensor, context: Context) -> Tensor | None:
    """Token counts, float64 [rows], or None; `UsageError` when they are for other than the matrix's [rows, columns]."""
    if context.counts is None:
        return None
    if len(context.counts) != matrix.shape[0]:
        raise UsageError(f"token counts are for {len(context.counts)} tokens, the matrix has {matrix.shape[0]} rows")
    return context.counts.double()


def needed_counts(matrix: Tensor, context: Context, scheme: str) -> Tensor:
    """Token counts, float64 [rows], for a matrix [rows, columns]; `UsageError` where there are none."""
    counts = counts_of(matrix, context)
    if counts is None:
        raise UsageError(f"scheme {scheme} needs token counts; give them (--counts) or tokens to count (--tokens)")
    return counts


def needed_states(context: Context, columns: int, scheme: str) -> HeadStates:
    """States that a head of so many columns reads; `UsageError` where there are none."""
    states = context.states
    if states is None or states.hidden.shape[1] != columns:
        found = "none" if states is None else f"states of {states.hidden.shape[1]} columns, the matrix has {columns}"
        raise UsageError(f"scheme {scheme} needs states of the head on calibration text (--calibration), found {found}")
    return states


def most_frequent(matrix: Tensor, context: Context) -> Tensor:
    """Rows of a matrix [rows, columns] from the most to the least frequent, int64 [rows].

    By their norm where counts are not known.  Ties go to the lower token id.
    """
    counts = counts_of(matrix, context)
    key = matrix.double().norm(dim=1) if counts is None else counts
    return key.sort(descending=True, stable=True).indices


def read_parts(text: str, scheme: str, option: str) -> tuple[tuple[int, int | None], ...]:
    """`VALUExROWS,…,VALUE` as (value, rows) pairs, most frequent rows first; only the last takes the rest.

    `UsageError` for another text; `option` is what the message names.

    >>> read_parts("16x64,8x1024,4", "tiers", "tiers")
    ((16, 64), (8, 1024), (4, None))
    """
    matches = [_PART.fullmatch(part.strip()) for part in text.split(",")]
    parts = tuple((int(part[1]), None if part[2] is None else int(part[2])) for part in matches if part is not None)
    if len(parts) != len(matches) or parts[-1][1] is not None or any(rows is None for _, rows in parts[:-1]):
        raise UsageError(
            f"scheme {scheme}: option {option} is {text!r}, expected VALUExROWS for the most frequent rows, then the "
            f"next, and a last VALUE for all others, as in 16x64,8x1024,4"
        )
    return parts


def divide(parts: tuple[tuple[int, int | None], ...], rows: int) -> list[tuple[int, int]]:
    """(value, rows) of each part that has rows, of `rows` in all.

    >>> divide(((16, 64), (8, 1024), (4, None)), 100)
    [(16, 64), (8, 36)]
    """
    divided = []
    for value, wanted in parts:
        taken = rows if wanted is None else min(wanted, rows)
        rows -= taken
        if taken:
            divided.append((value, taken))
    return divided


def parts_of(order: Tensor, divided: list[tuple[int, int]]) -> Tensor:
    """Which part each row is in, int64 [rows], of rows in their `order` [rows]."""
    sizes = torch.tensor([rows for _, rows in divided])
    part = torch.empty(len(order), dtype=torch.int64)
    part[order] = torch.arange(len(divided)).repeat_interleave(sizes)
    return part


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
