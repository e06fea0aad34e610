"""Trellis-coded integers: one byte each, whose meaning depends on those before them in the row.

At equal squared error they take about 0.15 to 0.2 bits less a weight than a uniform scalar under the same codec.
Haase et al. (ICIP 2020) do this for networks, as "dependent scalar quantization".
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.calibration import input_covariance
from golfbudget.schemes.clipped import clip_scales, feedback_weights
from golfbudget.schemes.rate_distortion import column_weights, refitted
from golfbudget.schemes.rounding import storable
from golfbudget.schemes.scalar import row_values
from golfbudget.schemes.trellis_search import HIGHEST, LOWEST, LevelGrid, Machine, grid, search, search_with_feedback

_STATES = (4, 8)
#: Times that integers are counted, and rows searched again at the bits which that gives.
_PASSES = 2


@register
class Trellis(TableScheme):
    """The step is a multiple of the row's deviation, wider where the row's largest number would not fit a byte.

    Scales are [rows, 1] for 8 states and [rows] for 4, so that their number of dimensions says k.
    """

    name = "trellis"
    summary = "integers along a trellis of 4 or 8 states, by Viterbi over error + λ·bits, and a fitted scale per row"
    formula = "V·d + 2V (values one a byte, for the codec to pack)"
    parameters = (
        Parameter("step", float, "the step over the row's deviation: sets the rate", lowest=0.001, highest=16),
        Parameter("states", int, "states of the machine: 4 or 8", default=8, lowest=4, highest=8),
        Parameter("rd", float, "λ of error + λ·step²·bits; 0: least error", default=0.35, lowest=0, highest=9),
    )
    decoder_source = (
        "w=t['scales'];k=w.ndim;w=w.astype('f').reshape(R,1)*n.ones(C,'f');s=n.zeros(R,int)\n"
        "for i in range(C):c=n.int_(t['values'][:,i]);w[:,i]*=2*c+s//k%2;s=(2*s+(c^s^s//k//2)%2)%(4*k)\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        """`UsageError` for other states than 4 or 8."""
        states, rate = int(options["states"]), float(options["rd"])
        if states not in _STATES:
            raise UsageError(f"scheme {self.name}: option states is {states}, expected 4 or 8")
        largest = matrix.abs().amax(dim=1) / (2 * HIGHEST)
        scales = storable(torch.maximum(clip_scales(matrix, 1, float(options["step"])), largest))
        machine = Machine(states // 4)
        stored, weights = self._searched(matrix, scales, machine, rate, context)
        scales = refitted(matrix, machine.levels(stored), scales, weights)
        return _tables(stored, scales, machine)

    def _searched(
        self, matrix: Tensor, scales: Tensor, machine: Machine, rate: float, context: Context
    ) -> tuple[Tensor, Tensor | None]:
        """Integers, and the weights by which scales are fitted to them."""
        scaled, weights = matrix / scales[:, None], column_weights(context, matrix.shape[1], self.name)
        largest = float(scaled.abs().max())
        stored = search(scaled, machine, grid(largest, rate), weights)
        for _ in range(_PASSES if rate else 0):
            stored = search(scaled, machine, _counted(stored, largest, rate), weights)
        return stored, weights

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        scales = encoded.tensor("scales")
        levels = Machine(scales.ndim).levels(encoded.tensor("values").view(rows, columns))
        return row_values(levels, scales.view(rows))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Searched again for the least error at the scales that the rows have."""
        scales = encoded.tensor("scales")
        scaled = matrix.float() / scales.float().view(-1, 1)
        stored = search(scaled, Machine(scales.ndim), grid(float(scaled.abs().max()), 0.0))
        return encoded.with_tables(replace(encoded.tables[0], tensor=stored))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return shape[0] * shape[1] + 2 * shape[0]


def _counted(stored: Tensor, largest: float, rate: float) -> LevelGrid:
    """The grid whose costs are the bits that these integers take."""
    counts = torch.bincount(stored.flatten().long() - LOWEST, minlength=HIGHEST - LOWEST + 1)
    return grid(largest, rate, counts)


def _tables(stored: Tensor, scales: Tensor, machine: Machine) -> tuple[Table, ...]:
    rows, columns = stored.shape
    halves = scales.half()
    if machine.k > 1:
        halves = halves[:, None]
    return (
        Table(name="values", account=Account.WEIGHTS, tensor=stored, bits=8, shape=(rows, columns)),
        Table(name="scales", account=Account.SCALES, tensor=halves.contiguous(), bits=16, shape=tuple(halves.shape)),
    )


@register
class TrellisGptq(Trellis):
    """Columns stay in their order, which the machine runs along.  Scales are fitted to the error of the outputs."""

    name = "trellis-gptq"
    summary = "as trellis, with GPTQ's error feedback by the inputs' second moment along every surviving path"
    needs = ("moment",)

    def _searched(
        self, matrix: Tensor, scales: Tensor, machine: Machine, rate: float, context: Context
    ) -> tuple[Tensor, Tensor | None]:
        covariance = input_covariance(context, matrix.shape[1], self.name)
        factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(covariance)), upper=True)
        weights = feedback_weights(factor)
        scaled = matrix / scales[:, None]
        # Feedback moves weights, and so may need levels beyond the largest.
        largest = float(scaled.abs().max()) + 8
        # Its levels are counted without it: it moves few of them.
        stored = search(scaled, machine, grid(largest, rate))
        for _ in range(_PASSES if rate else 1):
            levels = _counted(stored, largest, rate) if rate else grid(largest, rate)
            stored = search_with_feedback(scaled, machine, levels, factor, weights)
        return stored, covariance
