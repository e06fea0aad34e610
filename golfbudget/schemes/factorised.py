"""Low-rank heads: two factors in place of the matrix, a low-rank correction of a coarse one, a rank per band.

`factorised` (ALBERT, arXiv:1909.11942) is fitted to one matrix, so that a tied model uses the same projection on
both sides; a model trained with two projections would add rank x width values.  `bands` is adaptive softmax and
GroupReduce; its map of rows to bands is counted, where the papers sort the vocabulary and count the edges only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Scheme, Table, check_matrix, register
from golfbudget.schemes.factors import READ_PRODUCT, factor_bytes, factor_tables, product
from golfbudget.schemes.token_counts import divide, most_frequent, parts_of, read_parts
from golfbudget.schemes.values import (
    READ_MAP,
    READ_MATRIX,
    STORE,
    bits_parameter,
    check_bits,
    map_bytes,
    map_table,
    matrix_bytes,
    matrix_tables,
    read_map,
    read_matrix,
    reread,
)

_RANK = Parameter(name="rank", kind=int, summary="r, the factors' inner width", lowest=1)


@register
class Factorised(Scheme):
    """The matrix as left.T @ right, `left` [rank, rows] and `right` [rank, columns]."""

    name = "factorised"
    summary = "two factors of rank r, by singular values (ALBERT)"
    formula = "r·(V+d)·b/8 + 4r (b=16: no scales)"
    parameters = (_RANK, bits_parameter("bits", "bits of a factor's value", 8), STORE)
    decoder_source = READ_MATRIX + READ_PRODUCT + "w=f('',R)\n"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        del context
        matrix, options = check_matrix(matrix), self.options(options)
        rows, columns = matrix.shape
        rank, bits = min(rows, columns, int(options["rank"])), check_bits(self.name, "bits", options)
        tables = factor_tables(matrix, rank, bits, str(options["store"]))
        return Encoded(scheme=self.name, shape=(rows, columns), tables=tables)

    def decode(self, encoded: Encoded) -> Tensor:
        return product(encoded, encoded.shape[0])

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
        rank, bits = min(*shape, int(options["rank"])), check_bits(self.name, "bits", options)
        return factor_bytes(*shape, rank, bits, str(options["store"]))

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, int(self.options(options)["rank"]))


@register
class Lqer(Scheme):
    """Coarse integers, and factors of what they miss."""

    name = "lqer"
    summary = "integers of few bits and a low-rank correction of their error (LQER)"
    formula = "V·d·b/8 + 2V + r·(V+d)·c/8 + 4r (c=16: no scales)"
    parameters = (
        bits_parameter("bits", "b, bits of a value"),
        _RANK,
        bits_parameter("factor_bits", "c, bits of a factor's value", 8),
        STORE,
    )
    decoder_source = READ_MATRIX + READ_PRODUCT + "w=g('values',C)+f('',R)\n"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        del context
        matrix, options = check_matrix(matrix), self.options(options)
        rows, columns = matrix.shape
        bits, factor_bits, store = self._widths(options)
        base = matrix_tables("values", matrix, bits, store)
        rank = min(rows, columns, int(options["rank"]))
        correction = factor_tables(matrix - reread(base, columns), rank, factor_bits, store)
        return Encoded(scheme=self.name, shape=(rows, columns), tables=base + correction)

    def _widths(self, options: Options) -> tuple[int, int, str]:
        bits, factor_bits = (check_bits(self.name, name, options) for name in ("bits", "factor_bits"))
        return bits, factor_bits, str(options["store"])

    def decode(self, encoded: Encoded) -> Tensor:
        return read_matrix(encoded, "values", encoded.shape[1]) + product(encoded, encoded.shape[0])

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
        bits, factor_bits, store = self._widths(options)
        rank = min(*shape, int(options["rank"]))
        return matrix_bytes(*shape, bits, store) + factor_bytes(*shape, rank, factor_bits, store)


@register
class BandedFactors(Scheme):
    """Rows in bands by frequency, each band factorised at a rank of its own."""

    name = "bands"
    summary = "a rank for each band of frequency (adaptive softmax, GroupReduce)"
    formula = "Σ (r_i·(n_i+d)·b/8 + 4r_i) + V·idx(bands)/8 (b=16: no scales; one band: no map)"
    parameters = (
        Parameter(name="bands", kind=str, summary="RANKxROWS of the most frequent rows, …, and the RANK of the rest"),
        bits_parameter("bits", "bits of a factor's value", 8),
        STORE,
    )
    decoder_source = (
        READ_MATRIX
        + READ_PRODUCT
        + READ_MAP
        + (
            "B=sum('left%d'%i in t for i in range(len(t)))\n"
            "p=m(t['band_map'],R,B)if B>1 else n.zeros(R)\n"
            "w=n.empty((R,C),'f')\n"
            "for i in range(B):w[p==i]=f(str(i),sum(p==i))\n"
        )
    )

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        rows, columns = matrix.shape
        bits, store = check_bits(self.name, "bits", options), str(options["store"])
        divided = self._bands(rows, options)
        part = parts_of(most_frequent(matrix, context), divided)
        tables: tuple[Table, ...] = (map_table("band_map", part, len(divided)),) if len(divided) > 1 else ()
        for i, (rank, size) in enumerate(divided):
            tables += factor_tables(matrix[part == i], min(rank, size, columns), bits, store, str(i))
        return Encoded(scheme=self.name, shape=(rows, columns), tables=tables)

    def _bands(self, rows: int, options: Options) -> list[tuple[int, int]]:
        parts = read_parts(str(options["bands"]), self.name, "bands")
        if any(rank < 1 for rank, _ in parts):
            raise UsageError(f"scheme {self.name}: option bands is {options['bands']!r}, expected ranks from 1")
        return divide(parts, rows)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        bands = sum(table.name.startswith("left") and not table.name.endswith("scales") for table in encoded.tables)
        part = read_map(encoded.tensor("band_map"), rows, bands) if bands > 1 else torch.zeros(rows)
        decoded = torch.empty(rows, columns)
        for i in range(bands):
            decoded[part == i] = product(encoded, int((part == i).sum()), str(i))
        return decoded

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
        (rows, columns), bits = shape, check_bits(self.name, "bits", options)
        divided = self._bands(rows, options)
        mapping = map_bytes(rows, len(divided)) if len(divided) > 1 else 0
        return mapping + sum(
            factor_bytes(size, columns, min(rank, size, columns), bits, str(options["store"])) for rank, size in divided
        )

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        ranks = (min(rank, size) for rank, size in self._bands(shape[0], self.options(options)))
        return min(*shape, sum(ranks))
