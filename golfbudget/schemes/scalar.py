"""Scalar quantisation with one fp16 scale per row, fitted to least squared error or set by the largest magnitude.

This is the control every codebook has to beat, so it is done well: clipping the few largest values of a row for
a finer grid is part of the fit.  It never has more squared error, but a loss may hang on what it clips, so the other
scale is on offer.  Values are stored one per byte; the artifact's entropy coder does the rest.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.packing import TRITS_PER_BYTE, pack_trits, unpack_trits
from golfbudget.schemes.rate_distortion import RATE, column_weights, rounded
from golfbudget.schemes.rounding import round_rows, storable

#: Starting points of the fit, as shares of the scale that clips nothing.
_STARTS = 24
_LOWEST_START = 0.25
_REFINEMENTS = 1
#: The error is jagged in the scale where levels are many, so the neighbourhood of the best is searched finely.
_NEAR, _NEAR_STEPS = 0.06, 41
#: Elements fitted together: few enough to stay in the processor's cache over all the tries.
_AT_ONCE = 1 << 17


def fit_rows(matrix: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Values in ±levels, int8 [rows, columns], and scales, fp16 [rows], of least squared error per row.

    Of a float32 matrix [rows, columns].  Tries a range of clips, refines each by alternating rounding and least
    squares, searches finely around the best, and compares after the scale's own rounding to fp16; never worse than the
    scale that clips nothing.
    """
    parts = [_fit(part, levels) for part in matrix.split(max(1, _AT_ONCE // matrix.shape[1]))]
    scales = torch.cat(parts)
    return round_rows(matrix, scales, levels).to(torch.int8), scales.half()


def maximum_rows(matrix: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """As `fit_rows`, at the scales where each row's largest magnitude is the last level: nothing is clipped.

    Values int8 and scales fp16, shapes as of `fit_rows`.
    """
    scales = storable(matrix.abs().amax(dim=1) / levels)
    return round_rows(matrix, scales, levels).to(torch.int8), scales.half()


def _fit(matrix: Tensor, levels: int) -> Tensor:
    largest = matrix.abs().amax(dim=1)
    best_scale = storable(largest / levels)
    best_error = _error(matrix, best_scale, levels)

    def keep_better(scale: Tensor) -> None:
        nonlocal best_scale, best_error
        scale = storable(scale)
        error = _error(matrix, scale, levels)
        better = error < best_error
        best_scale, best_error = torch.where(better, scale, best_scale), torch.where(better, error, best_error)

    for share in torch.linspace(_LOWEST_START, 1.0, _STARTS).tolist():
        scale = largest * (share / levels)
        for _ in range(_REFINEMENTS):
            rounded = round_rows(matrix, scale, levels)
            energy = rounded.square().sum(1)
            scale = torch.where(energy > 0, (matrix * rounded).sum(1) / energy.clamp_min(1), scale)
        keep_better(scale)
    coarse = best_scale
    for factor in torch.linspace(1 - _NEAR, 1 + _NEAR, _NEAR_STEPS).tolist():
        keep_better(coarse * factor)
    return best_scale


def fit_ternary(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """As `fit_rows` with values in {-1, 0, 1}, solved exactly: the best support of size k is the k largest.

    The error removed is (sum of the k largest)**2 / k, so one sorted pass per row finds the optimum.  Values int8 and
    scales fp16, shapes as of `fit_rows`.
    """
    ordered = matrix.abs().sort(dim=1, descending=True).values.double()
    sizes = torch.arange(1, matrix.shape[1] + 1, dtype=torch.float64)
    sums = ordered.cumsum(1)
    best = (sums.square() / sizes).argmax(dim=1, keepdim=True)
    scale = storable((sums.gather(1, best) / (best + 1)).squeeze(1).float())
    return round_rows(matrix, scale, 1).to(torch.int8), scale.half()


def _error(matrix: Tensor, scale: Tensor, levels: int) -> Tensor:
    return round_rows(matrix, scale, levels).mul_(scale[:, None]).sub_(matrix).square_().sum(1)


def row_values(values: Tensor, scales: Tensor) -> Tensor:
    """Integer values [rows, columns] times scales [rows], float32 of that shape."""
    return values.float() * scales.float()[:, None]


def native_tables(values: Tensor, scales: Tensor, bits: int) -> tuple[Table, Table]:
    """int8 values [rows, columns] and fp16 scales [rows] under the names of the layout's own slots."""
    shape = (values.shape[0], values.shape[1])
    return (
        Table(name="values", account=Account.WEIGHTS, tensor=values, bits=bits, shape=shape),
        Table(name="scales", account=Account.SCALES, tensor=scales, bits=16, shape=shape[:1]),
    )


class RowScaled(TableScheme):
    """What schemes share whose tables are values, one a byte, and an fp16 scale a row: a layout's own slots."""

    native = True

    def decode(self, encoded: Encoded) -> Tensor:
        return row_values(encoded.tensor("values"), encoded.tensor("scales"))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Rounded again at the scales that the rows have."""
        values = encoded.tables[0]
        rounded = round_rows(matrix, encoded.tensor("scales").float(), 2 ** (values.bits - 1) - 1)
        return encoded.with_tables(replace(values, tensor=rounded.to(torch.int8)))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return shape[0] * shape[1] + 2 * shape[0]


@register
class Scalar(RowScaled):
    """Signed integers of `bits` bits, symmetric around zero: [-(2**(bits-1) - 1), 2**(bits-1) - 1]."""

    name = "scalar"
    summary = "one fp16 scale per row, fitted to least squared error or by the largest magnitude; the control"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"
    parameters = (
        Parameter("bits", int, "bits of a value", lowest=2, highest=8),
        Parameter(
            "scale",
            str,
            "row scales: of least squared error, or so that the largest magnitude is the last level",
            default="fitted",
            words=("fitted", "maximum"),
        ),
        RATE,
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        bits, rate = int(options["bits"]), float(options["rd"])
        levels = 2 ** (bits - 1) - 1
        fit = fit_rows if options["scale"] == "fitted" else maximum_rows
        values, scales = fit(matrix, levels)
        if rate:
            weights = column_weights(context, matrix.shape[1], self.name)
            found, steps = rounded(matrix, scales.float(), levels, rate, weights)
            values, scales = found.to(torch.int8), steps.half()
        return native_tables(values, scales, bits)


@register
class Ternary(RowScaled):
    """Values in {-1, 0, 1}, one per byte, left to the entropy coder."""

    name = "ternary"
    summary = "values in {-1, 0, 1} with one fp16 scale per row, solved exactly"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        return native_tables(*fit_ternary(matrix), 2)


@register
class TernaryPacked(TableScheme):
    """As `ternary`, five values to a byte in base three: smaller raw, but closed to the entropy coder."""

    name = "ternary-packed"
    summary = "as ternary, five values to a byte in base three"
    formula = "⌈V·d/5⌉ + 2V"
    decoder_source = (
        "w=(t['trits'][:,None]//3**n.arange(5)%3-1.).ravel()[:R*C].reshape(R,C)*t['scales'].astype('f')[:,None]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        values, scales = native_tables(*fit_ternary(matrix), 2)
        return replace(values, name="trits", tensor=pack_trits(values.tensor)), scales

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        values = unpack_trits(encoded.tensor("trits"), rows * columns).view(rows, columns)
        return row_values(values, encoded.tensor("scales"))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Rounded again at the scales that the rows have."""
        packed = pack_trits(round_rows(matrix, encoded.tensor("scales").float(), 1).to(torch.int8))
        return encoded.with_tables(replace(encoded.tables[0], tensor=packed))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return -(-shape[0] * shape[1] // TRITS_PER_BYTE) + 2 * shape[0]
