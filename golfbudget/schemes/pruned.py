"""Magnitude pruning: only the largest weights of a matrix are kept, as integers; the others are zero.

Zeros are stored as values, one a byte: where they stand is what the entropy coder has to pay for.
"""

from __future__ import annotations

from torch import Tensor

from golfbudget.schemes.base import Context, Options, Parameter, Table, register
from golfbudget.schemes.scalar import RowScaled, fit_rows, native_tables


@register
class Pruned(RowScaled):
    """At most share * V * d values, rounded, are not zero; of equal magnitudes, the first is kept."""

    name = "pruned"
    summary = "only the largest magnitudes of the matrix, as integers with one fitted fp16 scale per row"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"
    parameters = (
        Parameter(name="share", kind=float, summary="share of the weights to keep", lowest=0, highest=1),
        Parameter(name="bits", kind=int, summary="bits of a value", default=6, lowest=2, highest=8),
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        del context
        bits = int(options["bits"])
        flat = matrix.flatten()
        largest_first = flat.abs().argsort(descending=True, stable=True)
        pruned = flat.clone()
        pruned[largest_first[round(float(options["share"]) * len(flat)) :]] = 0
        values, scales = fit_rows(pruned.view(matrix.shape), 2 ** (bits - 1) - 1)
        return native_tables(values, scales, bits)
