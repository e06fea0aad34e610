"""VQ-Logits with what mends it: an integer codebook, a bias per token, explicit rows, a low-rank residual.

The plain scheme is `vq_logits`.  These share one encoder; each is registered under a name of its own, because
decoders differ and are counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Scheme, Table, check_matrix, register
from golfbudget.schemes.factors import READ_PRODUCT, factor_bytes, factor_tables, product
from golfbudget.schemes.packing import bits_for
from golfbudget.schemes.token_counts import counts_of, most_frequent, needed_counts
from golfbudget.schemes.values import (
    HALF_BITS,
    READ_MAP,
    READ_MATRIX,
    STORE,
    bits_parameter,
    check_bits,
    map_bytes,
    map_table,
    matrix_bytes,
    matrix_tables,
    moved,
    read_map,
    read_matrix,
    reread,
    row_count,
)
from golfbudget.schemes.vq_logits import code_means, fit_codebook, nearest, to_used

_CODES = Parameter(name="codes", kind=int, summary="K, the codebook's rows", lowest=1)
_READ_ROWS = READ_MATRIX + READ_MAP + "c=g('codebook',C);i=m(t['map'],R,len(c));w=c[i]\n"
_FORMULA = "K·d·b/8 + 2K + V·idx(K)/8"


class VqFamily(Scheme):
    """The codebook, as fp16 or integers, and the map; `codes` is K before codes that no token uses are dropped."""

    parameters: ClassVar[tuple[Parameter, ...]] = (_CODES, bits_parameter("bits", "b, bits of a value", 16), STORE)

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        shape = (matrix.shape[0], matrix.shape[1])
        tables, _ = self._coded(matrix, options, context)
        return Encoded(scheme=self.name, shape=shape, tables=tables)

    def _coded(self, matrix: Tensor, options: Options, context: Context) -> tuple[tuple[Table, ...], Tensor]:
        """Codebook and map tables, and each row's code."""
        bits, store = self._widths(options)
        codebook, codes = self._fit(matrix, options, context)
        tables = matrix_tables("codebook", codebook, bits, store, Account.CODEBOOK)
        return (*tables, map_table("map", codes, len(codebook))), codes

    def _fit(self, matrix: Tensor, options: Options, context: Context) -> tuple[Tensor, Tensor]:
        """Rows of the codebook that are used once they are rounded, and each row's code."""
        bits, store = self._widths(options)
        fitted = fit_codebook(matrix, int(options["codes"]), context)
        rounded = reread(matrix_tables("codebook", fitted, bits, store), matrix.shape[1])
        return to_used(fitted, nearest(matrix, rounded))

    def _widths(self, options: Options) -> tuple[int, str]:
        return check_bits(self.name, "bits", options), str(options["store"])

    def decode(self, encoded: Encoded) -> Tensor:
        return read_matrix(encoded, "codebook", encoded.shape[1])[self._codes(encoded)]

    def _codes(self, encoded: Encoded) -> Tensor:
        return read_map(encoded.tensor("map"), encoded.shape[0], row_count(encoded, "codebook"))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """The same map; each codebook row is the mean of its tokens' rows, at the scale that it has."""
        del bias
        return encoded.with_tables(moved(encoded, "codebook", self._means(encoded, matrix)))

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return self._means(encoded, matrix)[self._codes(encoded)]

    def _means(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return code_means(matrix, self._codes(encoded), row_count(encoded, "codebook"))

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        options = self.options(options)
        codes = self._most_codes(shape, options)
        return matrix_bytes(codes, shape[1], *self._widths(options)) + map_bytes(shape[0], codes)

    def _most_codes(self, shape: tuple[int, int], options: Options) -> int:
        return min(shape[0], int(options["codes"]))

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, int(self.options(options)["codes"]))


@register
class VqInteger(VqFamily):
    """Plain VQ-Logits whose codebook may be integers."""

    name = "vq-logits-int"
    summary = "VQ-Logits with an integer codebook"
    formula = f"{_FORMULA} (b=16: no scales)"
    parameters = (_CODES, bits_parameter("bits", "b, bits of a codebook value", 8), STORE)
    decoder_source = _READ_ROWS


@register
class VqBias(VqFamily):
    """VQ-Logits with a bias per token, which splits a code among its tokens by their frequency.

    The bias is ln((n+1) / mean of n+1 over the code's tokens), n the token's count.  Within a code the softmax then
    gives each token its share of the code's counts.  The mean, not the sum, is divided by, so that the exponentials
    add up to the number of tokens and each code keeps the probability it has without a bias: on text with those
    counts the loss falls by exactly E[ln n_code] - H(token | code), which is never negative.
    """

    name = "vq-logits-bias"
    summary = "VQ-Logits with a bias per token from token counts"
    needs = ("counts",)
    formula = f"{_FORMULA} + V·c/8 + 2 (b=16, c=16: no scales)"
    parameters = (*VqFamily.parameters, bits_parameter("bias_bits", "c, bits of a bias", 16))
    decoder_source = _READ_ROWS + "bias=g('bias',R)[0]\n"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        counts = needed_counts(matrix, context, self.name) + 1
        bits, store = check_bits(self.name, "bias_bits", options), str(options["store"])
        tables, codes = self._coded(matrix, options, context)
        sums = torch.zeros(int(codes.max()) + 1, dtype=torch.float64).index_add(0, codes, counts)
        bias = (counts / (sums / codes.bincount())[codes]).log().float()
        tables += matrix_tables("bias", bias[None], bits, store, Account.BIAS)
        return Encoded(scheme=self.name, shape=(matrix.shape[0], matrix.shape[1]), tables=tables)

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        coarse = super().refit(encoded, matrix)
        return coarse if bias is None else coarse.with_tables(moved(encoded, "bias", bias[None]))

    def bias(self, encoded: Encoded) -> Tensor:
        """The bias of every token's logit, float32 [rows]."""
        return read_matrix(encoded, "bias", encoded.shape[0])[0]

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        bits = check_bits(self.name, "bias_bits", complete)
        return super().raw_bytes(shape, options) + matrix_bytes(1, shape[0], bits, str(complete["store"]))


@register
class VqExplicit(VqFamily):
    """VQ-Logits in which the most frequent tokens have rows of their own, stored at the codebook's width.

    The map still has an entry, zero, for those tokens: it costs next to nothing after a codec, and the decoder
    needs no second list.
    """

    name = "vq-logits-explicit"
    summary = "VQ-Logits with own rows for the most frequent tokens (by counts, else by row norm)"
    formula = f"{_FORMULA} + S·(d·b/8 + 2) + S·idx(V)/8 (b=16: no scales)"
    parameters = (
        *VqFamily.parameters,
        Parameter(name="explicit", kind=int, summary="S, tokens with a row of their own", lowest=1),
    )
    decoder_source = _READ_ROWS + "e=g('explicit',C);w[m(t['explicit_map'],len(e),R)]=e\n"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        (rows, columns), (bits, store) = matrix.shape, self._widths(options)
        own = most_frequent(matrix, context)[: self._explicit((rows, columns), options)].sort().values
        shared = torch.ones(rows, dtype=torch.bool)
        shared[own] = False
        counts = counts_of(matrix, context)
        left = replace(context, counts=None if counts is None else counts[shared])
        codebook, fitted = self._fit(matrix[shared], options, left)
        codes = torch.zeros(rows, dtype=torch.int64)
        codes[shared] = fitted
        tables = matrix_tables("codebook", codebook, bits, store, Account.CODEBOOK)
        tables += (map_table("map", codes, len(codebook)),)
        if len(own):
            tables += (*matrix_tables("explicit", matrix[own], bits, store), map_table("explicit_map", own, rows))
        else:
            tables += self._none(columns)
        return Encoded(scheme=self.name, shape=(rows, columns), tables=tables)

    def _none(self, columns: int) -> tuple[Table, ...]:
        """Tables of no rows, for a matrix of one row, which the codebook must keep."""
        rows = Table(
            name="explicit",
            account=Account.WEIGHTS,
            tensor=torch.zeros(0, columns, dtype=torch.float16),
            bits=HALF_BITS,
            shape=(0, columns),
        )
        return rows, map_table("explicit_map", torch.zeros(0, dtype=torch.int64), 1)

    def _explicit(self, shape: tuple[int, int], options: Options) -> int:
        """Rows kept: one at least is left for the codebook."""
        return min(shape[0] - 1, int(options["explicit"]))

    def _most_codes(self, shape: tuple[int, int], options: Options) -> int:
        return min(shape[0] - self._explicit(shape, options), int(options["codes"]))

    def decode(self, encoded: Encoded) -> Tensor:
        decoded = super().decode(encoded)
        columns = encoded.shape[1]
        decoded[self._own(encoded)] = read_matrix(encoded, "explicit", columns)
        return decoded

    def _own(self, encoded: Encoded) -> Tensor:
        """Tokens that have rows of their own, int64 [rows of `explicit`]."""
        return read_map(encoded.tensor("explicit_map"), row_count(encoded, "explicit"), encoded.shape[0])

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        return super().refit(encoded, matrix, bias).with_tables(moved(encoded, "explicit", matrix[self._own(encoded)]))

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        own = torch.zeros(len(matrix), 1, dtype=torch.bool)
        own[self._own(encoded)] = True
        return torch.where(own, matrix, super().smooth(encoded, matrix))

    def _means(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        """As the family's; own rows have an entry in the map too, which means nothing."""
        shared = torch.ones(len(matrix), dtype=torch.bool)
        shared[self._own(encoded)] = False
        return code_means(matrix[shared], self._codes(encoded)[shared], row_count(encoded, "codebook"))

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        explicit = self._explicit(shape, complete)
        own = matrix_bytes(explicit, shape[1], *self._widths(complete))
        return super().raw_bytes(shape, options) + own + -(-explicit * bits_for(shape[0]) // 8)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        return min(*shape, int(complete["codes"]) + self._explicit(shape, complete))


@register
class VqResidual(VqFamily):
    """VQ-Logits and low-rank factors of what it misses."""

    name = "vq-logits-residual"
    summary = "VQ-Logits with a low-rank residual"
    formula = f"{_FORMULA} + r·(V+d)·c/8 + 4r (b=16, c=16: no scales)"
    parameters = (
        *VqFamily.parameters,
        Parameter(name="rank", kind=int, summary="r, the residual's rank", lowest=1),
        bits_parameter("factor_bits", "c, bits of a factor's value", 8),
    )
    decoder_source = _READ_ROWS.replace("w=c[i]", "") + READ_PRODUCT + "w=c[i]+f('',R)\n"

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix, options = check_matrix(matrix), self.options(options)
        shape = (matrix.shape[0], matrix.shape[1])
        coarse, _ = self._coded(matrix, options, context)
        missed = matrix - super().decode(Encoded(scheme=self.name, shape=shape, tables=coarse))
        bits = check_bits(self.name, "factor_bits", options)
        factors = factor_tables(missed, min(*shape, int(options["rank"])), bits, str(options["store"]))
        return Encoded(scheme=self.name, shape=shape, tables=coarse + factors)

    def decode(self, encoded: Encoded) -> Tensor:
        return super().decode(encoded) + product(encoded, encoded.shape[0])

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """The codebook moves, the residual stays."""
        return super().refit(encoded, matrix - product(encoded, len(matrix)), bias)

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        residual = product(encoded, len(matrix))
        return super().smooth(encoded, matrix - residual) + residual

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        rank, bits = min(*shape, int(complete["rank"])), check_bits(self.name, "factor_bits", complete)
        return super().raw_bytes(shape, options) + factor_bytes(*shape, rank, bits, str(complete["store"]))

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        return min(*shape, int(complete["codes"]) + int(complete["rank"]))
