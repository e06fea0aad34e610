"""Integers whose row step is k standard deviations over the levels: plainly rounded, or by GPTQ.

The step, not the number of bits, sets the coded size, so k is a knob for the rate: int6 at k = 12.85 and int8 at k = 20
are the public SP8192 records' settings.  Scales are as those compute them: torch's default deviation, the unbiased one
(over columns - 1), rounded to fp16 before anything is divided by it.  Their floor of 1e-10 is zero in fp16 and would
divide by zero; here the floor is fp16's smallest number, 2**-24.  A row of one column has no such deviation: it takes
the number's magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from golfbudget.schemes.base import Context, Options, Parameter, Table, register
from golfbudget.schemes.calibration import input_covariance
from golfbudget.schemes.rate_distortion import (
    PASSES,
    RATE,
    column_weights,
    last,
    level_costs,
    refitted,
    rounded,
    thresholds,
)
from golfbudget.schemes.rounding import round_rows, storable
from golfbudget.schemes.scalar import RowScaled, native_tables

_PARAMETERS = (
    Parameter("bits", int, "bits of a value: levels to each side of zero", lowest=2, highest=8),
    Parameter("clip", float, "k, deviations up to the last level", default=12.85, lowest=0.01, highest=1000),
    RATE,
)
#: Columns whose errors are fed to all later columns together.
_BLOCK = 128


def clip_scales(matrix: Tensor, levels: int, clip: float) -> Tensor:
    """Row steps, float32 [rows] of fp16 values, of a matrix [rows, columns]: k deviations over the levels of a side."""
    # In double precision, which neither overflows nor shows in the fp16 that is kept.
    double = matrix.double()
    deviation = double.std(dim=1) if matrix.shape[1] > 1 else double[:, 0].abs()
    return storable((clip * deviation / levels).float())


@register
class Clipped(RowScaled):
    """Rounded to the nearest level, clipped at the last."""

    name = "clipped"
    summary = "integers with a row step of k deviations over the levels; k sets the rate"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"
    parameters = _PARAMETERS

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        bits = int(options["bits"])
        levels = 2 ** (bits - 1) - 1
        scales = clip_scales(matrix, levels, float(options["clip"]))
        values, scales = self._rounded(matrix, scales, levels, float(options["rd"]), context)
        return native_tables(values.to(torch.int8).contiguous(), scales.half(), bits)

    def _rounded(
        self, matrix: Tensor, scales: Tensor, levels: int, rate: float, context: Context
    ) -> tuple[Tensor, Tensor]:
        weights = column_weights(context, matrix.shape[1], self.name) if rate else None
        return rounded(matrix, scales, levels, rate, weights)


@register
class Gptq(Clipped):
    """As `clipped`, column by column, each column's rounding error made up for by the columns not yet rounded."""

    name = "gptq"
    summary = "as clipped, rounded with error feedback by the inputs' second moment (arXiv:2210.17323)"
    needs = ("moment",)

    def _rounded(
        self, matrix: Tensor, scales: Tensor, levels: int, rate: float, context: Context
    ) -> tuple[Tensor, Tensor]:
        covariance = input_covariance(context, matrix.shape[1], self.name)
        values = feedback_rounded(matrix, scales, levels, covariance, rate)
        return values, refitted(matrix, values, scales, covariance) if rate else scales


def feedback_rounded(matrix: Tensor, scales: Tensor, levels: int, covariance: Tensor, rate: float = 0.0) -> Tensor:
    """Values, float32 [rows, columns], in GPTQ's order: columns of the largest covariance with themselves first.

    After a column is rounded, all later ones move to where they make up for its error best, which a row of the upper
    Cholesky factor of the inverse covariance says.  In double precision; `matrix` is [rows, columns], `scales` are
    [rows], and `covariance` is positive definite [columns, columns].  A `rate` that is not 0 rounds again to the level
    of least error + rate·bits, the bits from the values of the last time, and the error as far as no later column makes
    up for it.
    """
    order = covariance.diagonal().argsort(descending=True, stable=True)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance[order][:, order]))
    factor = torch.linalg.cholesky(inverse, upper=True)
    ordered, back = matrix.double()[:, order], order.argsort()

    def nearest(_column: int, wanted: Tensor) -> Tensor:
        return round_rows(wanted[:, None].float(), scales, levels)[:, 0]

    values = _fed(ordered, scales, factor, nearest)
    weights = feedback_weights(factor)
    for _ in range(PASSES if rate else 0):
        used, costs = level_costs(values, rate)
        starts = [thresholds(used, costs / weight) for weight in weights]

        def cheapest(column: int, wanted: Tensor, used: Tensor = used, starts: Sequence[Tensor] = starts) -> Tensor:
            return used[last(starts[column], wanted / scales)]

        values = _fed(ordered, scales, factor, cheapest)
    return values[:, back].contiguous()


def feedback_weights(factor: Tensor) -> Tensor:
    """What a column's squared error adds to that of the outputs after feedback, [columns] of mean 1.

    `factor` [columns, columns] is the upper Cholesky factor of the inputs' inverse covariance.
    """
    weights = factor.diagonal().square().reciprocal()
    return weights / weights.mean()


def _fed(left: Tensor, scales: Tensor, factor: Tensor, rounded: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Values, float32 [rows, columns], of columns each rounded by `rounded` after the feedback of those before."""
    left, columns, scale = left.clone(), left.shape[1], scales.double()
    values = torch.empty(left.shape)
    for start in range(0, columns, _BLOCK):
        stop = min(start + _BLOCK, columns)
        errors = torch.empty(len(left), stop - start, dtype=torch.float64)
        for column in range(start, stop):
            values[:, column] = rounded(column, left[:, column])
            error = (left[:, column] - values[:, column].double() * scale) / factor[column, column]
            left[:, column:stop] -= error[:, None] * factor[column, column:stop]
            errors[:, column - start] = error
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    return values
