"""A trunk matrix as the product of two integer factors, best for the inputs it gets where those are known.

Without a covariance the factors are those of `factorised`, the best for inputs of equal weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.schemes.base import Context, Encoded, Options, check_matrix, register
from golfbudget.schemes.covariance import input_covariance
from golfbudget.schemes.factorised import Factorised
from golfbudget.schemes.factors import factor_tables
from golfbudget.schemes.values import check_bits


@register
class LowRank(Factorised):
    """Factors of the least mean squared error of the outputs, E|(W - AB)x|^2, before they are rounded.

    With the Cholesky factor L of the covariance that is the best rank-r approximation of W L; for its left factor A the
    right one is the least-squares solution, whatever the covariance.
    """

    name = "low-rank"
    summary = "two factors of rank r by singular vectors, weighted by the inputs' second moment where known"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        rows, columns = matrix.shape
        rank, bits = min(rows, columns, int(options["rank"])), check_bits(self.name, "bits", options)
        weighted = None
        if context.covariance is not None:
            weighted = matrix.double() @ torch.linalg.cholesky(input_covariance(context, columns, self.name))
        tables = factor_tables(matrix, rank, bits, str(options["store"]), weighted=weighted)
        return Encoded(scheme=self.name, shape=(rows, columns), tables=tables)
