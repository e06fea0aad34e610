"""Trunk matrices as integer factors, best for the inputs they get, and with only their largest weights."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.schemes.base import Context, Options, Parameter, Table, register
from golfbudget.schemes.calibration import input_covariance
from golfbudget.schemes.factorised import Factorised, factor_tables
from golfbudget.schemes.scalar import RowScaled, fit_rows, native_tables
from golfbudget.schemes.values import widths


@register
class LowRank(Factorised):
    """Factors of the least mean squared error of the outputs, E|(W - AB)x|^2, before they are rounded.

    With the Cholesky factor L of the covariance that is the best rank-r approximation of W L; for its left factor A the
    right one is the least-squares solution, whatever the covariance.
    """

    name = "low-rank"
    summary = "two factors of rank r by singular vectors, weighted by the inputs' second moment where known"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        weighted = None
        if context.covariance is not None:
            weighted = matrix.double() @ torch.linalg.cholesky(input_covariance(context, matrix.shape[1], self.name))
        rank = min(*matrix.shape, int(options["rank"]))
        return factor_tables(matrix, rank, *widths(self, options), weighted=weighted)


@register
class Pruned(RowScaled):
    """At most share * V * d values, rounded, are not zero; of equal magnitudes, the first is kept."""

    name = "pruned"
    summary = "only the largest magnitudes of the matrix, as integers with one fitted fp16 scale per row"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"
    parameters = (
        Parameter("share", float, "share of the weights to keep", lowest=0, highest=1),
        Parameter("bits", int, "bits of a value", default=6, lowest=2, highest=8),
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        bits = int(options["bits"])
        flat = matrix.flatten()
        largest_first = flat.abs().argsort(descending=True, stable=True)
        pruned = flat.clone()
        pruned[largest_first[round(float(options["share"]) * len(flat)) :]] = 0
        values, scales = fit_rows(pruned.view(matrix.shape), 2 ** (bits - 1) - 1)
        return native_tables(values, scales, bits)
