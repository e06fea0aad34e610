"""Rounding to the level of the least squared error + λ·bits, where a level's bits are those of its share of all.

Levels and errors are in units of the row's step, so that λ means the same at every scale.  At fine resolution an
entropy-coded grid trades best at λ of about 0.1; files are as readable as plainly rounded ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.schemes.base import Context, Parameter
from golfbudget.schemes.calibration import input_covariance
from golfbudget.schemes.rounding import round_rows, storable

#: The option of every scalar scheme.
RATE = Parameter(
    "rd",
    float,
    "λ: a weight takes the level of least error + λ·step²·bits; 0: nearest",
    default=0.0,
    lowest=0,
    highest=9,
)
#: Times that levels are counted and weights rounded again.
PASSES = 2


def thresholds(levels: Tensor, costs: Tensor) -> Tensor:
    """Where each level begins to be the best, float64 [..., levels], not falling; the first at minus infinity.

    The best level for x, of least (x - level)**2 + cost, is the last whose threshold is <= x; one that is best nowhere
    has the threshold of the next.  `levels` rise, and `costs` are what bits weigh against squared error; both
    [..., levels].
    """
    levels, costs = levels.double(), costs.double()
    lines = levels.square() + costs
    # Two parabolas of the same curvature meet once.
    meet = (lines[..., :, None] - lines[..., None, :]) / (2 * (levels[..., :, None] - levels[..., None, :]))
    below = torch.ones(meet.shape[-2:], dtype=torch.bool).tril(-1)
    starts = meet.masked_fill(~below, -torch.inf).amax(-1)
    ends = meet.masked_fill(~below.T, torch.inf).amin(-1)
    starts = torch.where(starts < ends, starts, torch.inf)
    return starts.flip(-1).cummin(-1).values.flip(-1)


def column_weights(context: Context, columns: int, scheme: str) -> Tensor | None:
    """Mean squares of the inputs, float64 [columns] of mean about 1; None where they are not known."""
    if context.covariance is None:
        return None
    return input_covariance(context, columns, scheme).diagonal()


def cheapest(scaled: Tensor, levels: int, rate: float, weights: Tensor | None = None) -> Tensor:
    """Levels in [-levels, levels] for weights in units of their step, float32 [rows, columns].

    Never more weighted squared error + rate·bits, each by its own histogram, than the nearest levels have: no pass
    raises it, as a level that is not in use stays so.  `scaled` is of that shape, and `weights` are those of the
    columns, [columns].
    """
    nearest = scaled.round().clamp_(-levels, levels)
    for _ in range(PASSES if rate else 0):
        used, costs = level_costs(nearest, rate)
        if weights is None:
            nearest = used[last(thresholds(used, costs), scaled)]
        else:
            each = [thresholds(used, costs / weight) for weight in weights]
            nearest = used[last(torch.stack(each), scaled.T.contiguous())].T
    return nearest.contiguous()


def level_costs(values: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """The levels in use, rising, and rate times the bits of each by its share, float64: both [levels]."""
    used, counts = values.unique(return_counts=True)
    return used, rate * -(counts.double() / values.numel()).log2()


def last(starts: Tensor, scaled: Tensor) -> Tensor:
    """The last level whose threshold is not above, of `scaled`'s shape.

    Thresholds are [levels] for all, or [columns, levels] of `scaled` [columns, rows].
    """
    return torch.searchsorted(starts, scaled.double(), right=True) - 1


def rounded(
    matrix: Tensor, scales: Tensor, levels: int, rate: float, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Levels, float32 [rows, columns], and the steps refitted to them, float32 [rows] of fp16 values.

    With rate 0, nearest levels, and the steps as they are.  `matrix` is [rows, columns], `scales` [rows], and `weights`
    [columns] are those of the columns.
    """
    if not rate:
        return round_rows(matrix, scales, levels), scales
    found = cheapest(matrix / scales[:, None], levels, rate, weights)
    return found, refitted(matrix, found, scales, weights)


def refitted(matrix: Tensor, found: Tensor, scales: Tensor, weights: Tensor | None = None) -> Tensor:
    """The row steps of least squared error for these levels, float32 [rows] of fp16 values.

    `matrix` and the levels `found` are both [rows, columns], `scales` [rows].  `weights` are those of the columns
    [columns], or the inputs' covariance [columns, columns]; a step that rounding to fp16 would make worse stays.
    """
    target, levels = matrix.double(), found.double()
    weighted = levels if weights is None else levels * weights if weights.ndim == 1 else levels @ weights
    energy, product = (levels * weighted).sum(1), (target * weighted).sum(1)
    best = storable((product / energy.clamp_min(torch.finfo(torch.float64).tiny)).float())

    def error(steps: Tensor) -> Tensor:
        """Up to the energy of the matrix."""
        return steps.double() * (steps.double() * energy - 2 * product)

    return torch.where((energy > 0) & (error(best) < error(scales)), best, scales)
