"""Integers whose precision follows the tokens' frequency: tiers of bits, and row steps that grow for rare tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.schemes import values
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.calibration import divide, most_frequent, needed_counts, parts_of, read_parts
from golfbudget.schemes.rate_distortion import RATE, cheapest, column_weights
from golfbudget.schemes.rounding import SMALLEST_HALF
from golfbudget.schemes.scalar import fit_rows, native_tables, row_values

_WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)


@register
class Tiers(TableScheme):
    """Rows in tiers by frequency, each tier with bits of its own; a tier of 16 bits is protected (fp16)."""

    name = "tiers"
    summary = "bits by tier of frequency; 16 protects rows"
    formula = "Σ n_t·d·b_t/8 + 2·(rows that are not fp16) + V·idx(tiers)/8 (one tier: no map)"
    parameters = (
        Parameter("tiers", str, "BITSxROWS of the most frequent rows, …, and the BITS of the rest"),
        values.STORE,
        RATE,
    )
    decoder_source = values.READ_CODED + (
        "B=sum('tier%d'%i in t for i in range(len(t)))\n"
        "p=m(t['tier_map'],R,B)if B>1 else n.zeros(R)\n"
        "w=n.empty((R,C),'f')\n"
        "for i in range(B):w[p==i]=g('tier%d'%i,C)\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        divided = self._tiers(len(matrix), options)
        part = parts_of(most_frequent(matrix, context), divided)
        tables: tuple[Table, ...] = (values.map_table("tier_map", part, len(divided)),) if len(divided) > 1 else ()
        rate = float(options["rd"])
        weights = column_weights(context, matrix.shape[1], self.name) if rate else None
        for i, (bits, _) in enumerate(divided):
            tables += values.matrix_tables(
                f"tier{i}", matrix[part == i], bits, str(options["store"]), rate=rate, weights=weights
            )
        return tables

    def _tiers(self, rows: int, options: Options) -> list[tuple[int, int]]:
        parts = read_parts(str(options["tiers"]), self.name, "tiers")
        if any(bits not in _WIDTHS for bits, _ in parts):
            found = f"option tiers is {options['tiers']!r}"
            raise UsageError(f"scheme {self.name}: {found}, expected bits of 2 to 8, or 16")
        return divide(parts, rows)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        part, tiers = self._parts(encoded)
        decoded = torch.empty(rows, columns)
        for i in range(tiers):
            decoded[part == i] = values.read_matrix(encoded, f"tier{i}", columns)
        return decoded

    def _parts(self, encoded: Encoded) -> tuple[Tensor, int]:
        """The tier of each row [rows], and how many there are."""
        rows = encoded.shape[0]
        tiers = sum(table.name.startswith("tier") and table.name[4:].isdigit() for table in encoded.tables)
        return (values.read_map(encoded.tensor("tier_map"), rows, tiers) if tiers > 1 else torch.zeros(rows)), tiers

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Rounded again at the scales that the rows have, in the same tiers."""
        part, tiers = self._parts(encoded)
        return encoded.with_tables(*(values.moved(encoded, f"tier{i}", matrix[part == i]) for i in range(tiers)))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), store = shape, str(options["store"])
        divided = self._tiers(rows, options)
        mapping = values.map_bytes(rows, len(divided)) if len(divided) > 1 else 0
        return mapping + sum(values.matrix_bytes(size, columns, bits, store) for bits, size in divided)


@register
class ClassSteps(TableScheme):
    """Integers one a byte whose row step is the fitted one times (most counted / counted) ** (strength / 2).

    At fine resolution a step costs its square times the token's frequency, and saves its logarithm: the step that
    balances both goes with the inverse root of the frequency, which is `strength` 1.  No step grows by more than
    `coarsest`.  Nothing is saved before the codec: coarser rows have fewer values in use.
    """

    name = "class-steps"
    summary = "integers whose row step grows for rare tokens, from token counts (arXiv:2608.12026)"
    formula = "V·d + 2V, + 2d with column steps (values one a byte, for the codec to pack)"
    needs = ("counts",)
    parameters = (
        Parameter("bits", int, "bits of a value at the most frequent token", lowest=2, highest=8),
        Parameter("strength", float, "0: plain steps; 1: inverse root of counts", default=0.5, lowest=0, highest=1),
        Parameter("coarsest", float, "a row's step grows by at most this", default=4.0, lowest=1, highest=256),
        Parameter("columns", str, "whether columns have steps too", default="plain", words=("plain", "stepped")),
        RATE,
    )
    decoder_source = (
        "w=t['values'].astype('f')*t['scales'].astype('f')[:,None]\n"
        "if'column_scales'in t:w=w*t['column_scales'].astype('f')\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        counts = needed_counts(matrix, context, self.name)
        levels = 2 ** (int(options["bits"]) - 1) - 1
        columns = _column_steps(matrix, context) if options["columns"] == "stepped" else None
        if columns is not None:
            matrix = matrix / columns.float()
        growth = ((counts.max() + 1) / (counts + 1)) ** (float(options["strength"]) / 2)
        scales = fit_rows(matrix, levels)[1].float() * growth.clamp_max(float(options["coarsest"])).float()
        halves = values.to_half(scales.clamp_min(SMALLEST_HALF))
        scaled = matrix / halves.float()[:, None]
        rate = float(options["rd"])
        weights = column_weights(context, matrix.shape[1], self.name) if rate else None
        if weights is not None and columns is not None:
            weights = weights * columns.double().square()
        rounded = cheapest(scaled, levels, rate, weights).to(torch.int8)
        tables = native_tables(rounded, halves, int(options["bits"]))
        return tables if columns is None else (*tables, values.half_table("column_scales", columns))

    def decode(self, encoded: Encoded) -> Tensor:
        decoded = row_values(encoded.tensor("values"), encoded.tensor("scales"))
        if any(table.name == "column_scales" for table in encoded.tables):
            decoded = decoded * encoded.tensor("column_scales").float()
        return decoded

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        rows, columns = shape
        return rows * columns + 2 * rows + (2 * columns if options["columns"] == "stepped" else 0)


def _column_steps(matrix: Tensor, context: Context) -> Tensor:
    """Steps around 1, fp16 [columns]: finer where the head's inputs are large, or its weights small if unknown."""
    if context.covariance is not None:
        size = context.covariance.diagonal().double().clamp_min(0).sqrt().reciprocal()
    else:
        size = matrix.double().square().mean(0).sqrt()
    usable = torch.isfinite(size) & (size > 0)
    if not bool(usable.any()):
        return torch.ones(matrix.shape[1], dtype=torch.float16)
    middle = size[usable].log().mean().exp()
    return torch.where(usable, size / middle, 1.0).clamp(2.0**-8, 2.0**8).half()
