"""Low-rank heads: two factors in place of the matrix, a low-rank correction of a coarse one, a rank per band.

`factorised` (ALBERT, arXiv:1909.11942) is fitted to one matrix, so that a tied model uses the same projection on
both sides; a model trained with two projections would add rank x width values.  `bands` is adaptive softmax and
GroupReduce; its map of rows to bands is counted, where the papers sort the vocabulary and count the edges only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.schemes import values
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.calibration import divide, most_frequent, parts_of, read_parts

#: Directions weaker than this share of the strongest are rounding noise of float32, and are left out.
_NOISE = 1e-7

#: `f(a,r)`: the product of the factors named with suffix `a`, for `r` rows; needs `g`.
READ_PRODUCT = "def f(a,r):return(g('left'+a,r).T.astype('d')@g('right'+a,C)).astype('f')\n"
_READ_BANDS = values.READ_MATRIX + READ_PRODUCT + values.READ_MAP


def factor_tables(
    matrix: Tensor, rank: int, bits: int, store: str, suffix: str = "", weighted: Tensor | None = None
) -> tuple[Table, ...]:
    """`left` [rank, rows] and `right` [rank, columns] of a float32 matrix [rows, columns].

    The best approximation of that rank comes from the singular vectors.  Each factor has one scale per direction, and
    the right one is solved again, by least squares, for the left one as it was rounded.  The left one spans the best
    approximation of `weighted` instead, where it is given: the matrix times a root of its inputs' covariance.
    """
    double = matrix.double()
    left = _left(double if weighted is None else weighted, rank)
    left_tables = values.matrix_tables(f"left{suffix}", left.T.float().contiguous(), bits, store)
    rounded = values.reread(left_tables, matrix.shape[0]).double()
    right = torch.linalg.pinv(rounded @ rounded.T, hermitian=True) @ (rounded @ double)
    return left_tables + values.matrix_tables(f"right{suffix}", right.float().contiguous(), bits, store)


def _left(matrix: Tensor, rank: int) -> Tensor:
    """The first left singular vectors, each times the root of its singular value: float64 [rows, rank].

    From the eigenvectors of the smaller Gram matrix: a vocabulary has far more rows than columns.
    """
    rows, columns = matrix.shape
    largest = matrix.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    matrix = matrix / largest
    if columns <= rows:
        vectors = torch.linalg.eigh(matrix.T @ matrix).eigenvectors.flip(1)[:, :rank]
        scaled = matrix @ vectors
        strength = scaled.norm(dim=0)
    else:
        energies, vectors = torch.linalg.eigh(matrix @ matrix.T)
        strength = energies.flip(0)[:rank].clamp_min(0).sqrt()
        scaled = vectors.flip(1)[:, :rank] * strength
    kept = strength > _NOISE * strength.max()
    root = torch.where(kept, (largest / strength.clamp_min(torch.finfo(torch.float64).tiny)).sqrt(), 0.0)
    return torch.mul(scaled, root)


def factor_bytes(rows: int, columns: int, rank: int, bits: int, store: str) -> int:
    """Raw bytes of what `factor_tables` gives."""
    return values.matrix_bytes(rank, rows, bits, store) + values.matrix_bytes(rank, columns, bits, store)


def product(encoded: Encoded, rows: int, suffix: str = "") -> Tensor:
    """Left times right, float32 [rows, columns]; summed in double precision, whose order of sums no rounding shows."""
    left = values.read_matrix(encoded, f"left{suffix}", rows).numpy()
    right = values.read_matrix(encoded, f"right{suffix}", encoded.shape[1]).numpy()
    return torch.from_numpy((left.T.astype(np.float64) @ right).astype(np.float32))


_RANK = Parameter("rank", int, "r, the factors' inner width", lowest=1)
_BITS = values.bits_parameter("bits", "bits of a factor's value", 8)
FACTOR_BITS = values.bits_parameter("factor_bits", "c, bits of a factor's value", 8)


@register
class Factorised(TableScheme):
    """The matrix as left.T @ right, `left` [rank, rows] and `right` [rank, columns]."""

    name = "factorised"
    summary = "two factors of rank r, by singular values (ALBERT)"
    formula = "r·(V+d)·b/8 + 4r (b=16: no scales)"
    parameters = (_RANK, _BITS, values.STORE)
    decoder_source = values.READ_MATRIX + READ_PRODUCT + "w=f('',R)\n"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        return factor_tables(matrix, min(*matrix.shape, int(options["rank"])), *values.widths(self, options))

    def decode(self, encoded: Encoded) -> Tensor:
        return product(encoded, encoded.shape[0])

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return factor_bytes(*shape, min(*shape, int(options["rank"])), *values.widths(self, options))

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, int(self.options(options)["rank"]))


@register
class Lqer(TableScheme):
    """Coarse integers, and factors of what they miss."""

    name = "lqer"
    summary = "integers of few bits and a low-rank correction of their error (LQER)"
    formula = "V·d·b/8 + 2V + r·(V+d)·c/8 + 4r (c=16: no scales)"
    parameters = (values.bits_parameter("bits", "b, bits of a value"), _RANK, FACTOR_BITS, values.STORE)
    decoder_source = values.READ_MATRIX + READ_PRODUCT + "w=g('values',C)+f('',R)\n"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        base = values.matrix_tables("values", matrix, *values.widths(self, options))
        missed, rank = matrix - values.reread(base, matrix.shape[1]), min(*matrix.shape, int(options["rank"]))
        return base + factor_tables(missed, rank, *values.widths(self, options, "factor_bits"))

    def decode(self, encoded: Encoded) -> Tensor:
        return values.read_matrix(encoded, "values", encoded.shape[1]) + product(encoded, encoded.shape[0])

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        rank, widths = min(*shape, int(options["rank"])), values.widths(self, options, "factor_bits")
        return values.matrix_bytes(*shape, *values.widths(self, options)) + factor_bytes(*shape, rank, *widths)


@register
class BandedFactors(TableScheme):
    """Rows in bands by frequency, each band factorised at a rank of its own."""

    name = "bands"
    summary = "a rank for each band of frequency (adaptive softmax, GroupReduce)"
    formula = "Σ (r_i·(n_i+d)·b/8 + 4r_i) + V·idx(bands)/8 (b=16: no scales; one band: no map)"
    parameters = (
        Parameter("bands", str, "RANKxROWS of the most frequent rows, …, and the RANK of the rest"),
        _BITS,
        values.STORE,
    )
    decoder_source = _READ_BANDS + (
        "B=sum('left%d'%i in t for i in range(len(t)))\n"
        "p=m(t['band_map'],R,B)if B>1 else n.zeros(R)\n"
        "w=n.empty((R,C),'f')\n"
        "for i in range(B):w[p==i]=f(str(i),sum(p==i))\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        divided = self._bands(len(matrix), options)
        part = parts_of(most_frequent(matrix, context), divided)
        tables: tuple[Table, ...] = (values.map_table("band_map", part, len(divided)),) if len(divided) > 1 else ()
        for i, (rank, size) in enumerate(divided):
            least = min(rank, size, matrix.shape[1])
            tables += factor_tables(matrix[part == i], least, *values.widths(self, options), str(i))
        return tables

    def _bands(self, rows: int, options: Options) -> list[tuple[int, int]]:
        parts = read_parts(str(options["bands"]), self.name, "bands")
        if any(rank < 1 for rank, _ in parts):
            raise UsageError(f"scheme {self.name}: option bands is {options['bands']!r}, expected ranks from 1")
        return divide(parts, rows)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        bands = sum(table.name.startswith("left") and not table.name.endswith("scales") for table in encoded.tables)
        part = values.read_map(encoded.tensor("band_map"), rows, bands) if bands > 1 else torch.zeros(rows)
        decoded = torch.empty(rows, columns)
        for i in range(bands):
            decoded[part == i] = product(encoded, int((part == i).sum()), str(i))
        return decoded

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), widths = shape, values.widths(self, options)
        divided = self._bands(rows, options)
        mapping = values.map_bytes(rows, len(divided)) if len(divided) > 1 else 0
        return mapping + sum(factor_bytes(n, columns, min(rank, n, columns), *widths) for rank, n in divided)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        ranks = (min(rank, size) for rank, size in self._bands(shape[0], self.options(options)))
        return min(*shape, sum(ranks))
