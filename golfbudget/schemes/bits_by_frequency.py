"""Integers whose precision follows the tokens' frequency: tiers of bits, and row steps that grow for rare tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Scheme, Table, check_matrix, register
from golfbudget.schemes.scalar import fit_rows
from golfbudget.schemes.token_counts import divide, most_frequent, needed_counts, parts_of, read_parts
from golfbudget.schemes.values import (
    READ_MAP,
    READ_MATRIX,
    STORE,
    map_bytes,
    map_table,
    matrix_bytes,
    matrix_tables,
    moved,
    read_map,
    read_matrix,
    to_half,
)

_WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)
_SMALLEST_HALF = 2.0**-24


@register
class Tiers(Scheme):
    """Rows in tiers by frequency, each tier with bits of its own; a tier of 16 bits is protected (fp16)."""

    name = "tiers"
    summary = "bits by tier of frequency; 16 protects rows"
    formula = "Σ n_t·d·b_t/8 + 2·(rows that are not fp16) + V·idx(tiers)/8 (one tier: no map)"
    parameters = (
        Parameter(name="tiers", kind=str, summary="BITSxROWS of the most frequent rows, …, and the BITS of the rest"),
        STORE,
    )
    decoder_source = (
        READ_MATRIX
        + READ_MAP
        + (
            "B=sum('tier%d'%i in t for i in range(len(t)))\n"
            "p=m(t['tier_map'],R,B)if B>1 else n.zeros(R)\n"
            "w=n.empty((R,C),'f')\n"
            "for i in range(B):w[p==i]=g('tier%d'%i,C)\n"
        )
    )

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        rows, columns = matrix.shape
        divided = self._tiers(rows, options)
        part = parts_of(most_frequent(matrix, context), divided)
        tables: tuple[Table, ...] = (map_table("tier_map", part, len(divided)),) if len(divided) > 1 else ()
        for i, (bits, _) in enumerate(divided):
            tables += matrix_tables(f"tier{i}", matrix[part == i], bits, str(options["store"]))
        return Encoded(scheme=self.name, shape=(rows, columns), tables=tables)

    def _tiers(self, rows: int, options: Options) -> list[tuple[int, int]]:
        parts = read_parts(str(options["tiers"]), self.name, "tiers")
        if any(bits not in _WIDTHS for bits, _ in parts):
            raise UsageError(
                f"scheme {self.name}: option tiers is {options['tiers']!r}, expected bits of 2 to 8, or 16"
            )
        return divide(parts, rows)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        part, tiers = self._parts(encoded)
        decoded = torch.empty(rows, columns)
        for i in range(tiers):
            decoded[part == i] = read_matrix(encoded, f"tier{i}", columns)
        return decoded

    def _parts(self, encoded: Encoded) -> tuple[Tensor, int]:
        """The tier of each row [rows], and how many there are."""
        rows = encoded.shape[0]
        tiers = sum(table.name.startswith("tier") and table.name[4:].isdigit() for table in encoded.tables)
        return (read_map(encoded.tensor("tier_map"), rows, tiers) if tiers > 1 else torch.zeros(rows)), tiers

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Rounded again at the scales that the rows have, in the same tiers."""
        del bias
        part, tiers = self._parts(encoded)
        return encoded.with_tables(*(moved(encoded, f"tier{i}", matrix[part == i]) for i in range(tiers)))

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
        (rows, columns), store = shape, str(options["store"])
        divided = self._tiers(rows, options)
        mapping = map_bytes(rows, len(divided)) if len(divided) > 1 else 0
        return mapping + sum(matrix_bytes(size, columns, bits, store) for bits, size in divided)


@register
class ClassSteps(Scheme):
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
        Parameter(name="bits", kind=int, summary="bits of a value at the most frequent token", lowest=2, highest=8),
        Parameter(
            name="strength",
            kind=float,
            summary="0: plain steps; 1: inverse root of counts",
            default=0.5,
            lowest=0,
            highest=1,
        ),
        Parameter(
            name="coarsest",
            kind=float,
            summary="a row's step grows by at most this",
            default=4.0,
            lowest=1,
            highest=256,
        ),
        Parameter(
            name="columns",
            kind=str,
            summary="whether columns have steps too",
            default="plain",
            words=("plain", "stepped"),
        ),
    )
    decoder_source = (
        "w=t['values'].astype('f')*t['scales'].astype('f')[:,None]\n"
        "if'column_scales'in t:w=w*t['column_scales'].astype('f')\n"
    )

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        counts = needed_counts(matrix, context, self.name)
        shape, levels = (matrix.shape[0], matrix.shape[1]), 2 ** (int(options["bits"]) - 1) - 1
        columns = _column_steps(matrix, context) if options["columns"] == "stepped" else None
        if columns is not None:
            matrix = matrix / columns.float()
        growth = ((counts.max() + 1) / (counts + 1)) ** (float(options["strength"]) / 2)
        scales = fit_rows(matrix, levels)[1].float() * growth.clamp_max(float(options["coarsest"])).float()
        halves = to_half(scales.clamp_min(_SMALLEST_HALF))
        values = (matrix / halves.float()[:, None]).round().clamp(-levels, levels).to(torch.int8)
        tables = [
            Table(name="values", account=Account.WEIGHTS, tensor=values, bits=int(options["bits"]), shape=shape),
            Table(name="scales", account=Account.SCALES, tensor=halves, bits=16, shape=shape[:1]),
        ]
        if columns is not None:
            table = Table(name="column_scales", account=Account.SCALES, tensor=columns, bits=16, shape=shape[1:])
            tables.append(table)
        return Encoded(scheme=self.name, shape=shape, tables=tuple(tables))

    def decode(self, encoded: Encoded) -> Tensor:
        decoded = encoded.tensor("values").float() * encoded.tensor("scales").float()[:, None]
        if any(table.name == "column_scales" for table in encoded.tables):
            decoded = decoded * encoded.tensor("column_scales").float()
        return decoded

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
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
