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
from golfbudget.schemes import values
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.calibration import counts_of, most_frequent, needed_counts, needed_states
from golfbudget.schemes.clusters import means
from golfbudget.schemes.factorised import FACTOR_BITS, READ_PRODUCT, factor_bytes, factor_tables, product
from golfbudget.schemes.fitted_codebook import fit_to_loss
from golfbudget.schemes.information_map import information_map
from golfbudget.schemes.packing import bits_for
from golfbudget.schemes.vq_logits import code_means, fit_codebook, nearest, to_used

_CODES = Parameter("codes", int, "K, the codebook's rows", lowest=1)
#: Both need calibration text, but for their defaults.
_MAP = Parameter(
    "map", str, "which rows share a code: near ones, or those that states do not tell apart", default="nearest",
    words=("nearest", "information"),
)  # fmt: skip
_ROWS = Parameter(
    "codebook", str, "a code's row: the mean of its tokens', or fitted to the loss, the trunk frozen", default="means",
    words=("means", "fitted"),
)  # fmt: skip
_READ_ROWS = values.READ_CODED + "c=g('codebook',C);i=m(t['map'],R,len(c));w=c[i]\n"
_FORMULA = "K·d·b/8 + 2K + V·idx(K)/8"


class VqFamily(TableScheme):
    """The codebook, as fp16 or integers, and the map; `codes` is K before codes that no token uses are dropped."""

    parameters: ClassVar[tuple[Parameter, ...]] = (_CODES, values.HALF_DEFAULT, values.STORE, _MAP, _ROWS)
    #: A bias per token holds a constant for each code, too.
    biased: ClassVar[bool] = False

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        return self._coded(matrix, options, context)[0]

    def needs_for(self, options: Options) -> tuple[str, ...]:
        given = options.get("map") == "information" or options.get("codebook") == "fitted"
        return (*self.needs, *(["moment"] if given else []))

    def _coded(self, matrix: Tensor, options: Options, context: Context) -> tuple[tuple[Table, ...], Tensor, Tensor]:
        """Codebook and map tables, each row's code, and the constant of each code's logit."""
        codebook, codes = self._fit(matrix, options, context)
        constants = codes.bincount(minlength=len(codebook)).log().float()
        if options.get("codebook") == "fitted":
            states = needed_states(context, matrix.shape[1], self.name)
            codebook, constants = fit_to_loss(matrix, codes, codebook, states, free=self.biased)
        tables = values.matrix_tables("codebook", codebook, *values.widths(self, options), Account.CODEBOOK)
        return (*tables, values.map_table("map", codes, len(codebook))), codes, constants

    def _fit(self, matrix: Tensor, options: Options, context: Context) -> tuple[Tensor, Tensor]:
        """Rows of the codebook that are used once they are rounded, and each row's code."""
        if options.get("map") == "information":
            states = needed_states(context, matrix.shape[1], self.name)
            codes = information_map(matrix, int(options["codes"]), states)
            counts = counts_of(matrix, context)
            weights = None if counts is None else counts.numpy() + 1
            return torch.from_numpy(means(matrix.double().numpy(), weights, codes.numpy())).float(), codes
        fitted = fit_codebook(matrix, int(options["codes"]), context)
        rounded = values.matrix_tables("codebook", fitted, *values.widths(self, options))
        return to_used(fitted, nearest(matrix, values.reread(rounded, matrix.shape[1])))

    def decode(self, encoded: Encoded) -> Tensor:
        return values.read_matrix(encoded, "codebook", encoded.shape[1])[self._codes(encoded)]

    def _codes(self, encoded: Encoded) -> Tensor:
        return values.read_map(encoded.tensor("map"), encoded.shape[0], values.row_count(encoded, "codebook"))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """The same map; each codebook row is the mean of its tokens' rows, at the scale that it has."""
        return encoded.with_tables(values.moved(encoded, "codebook", self._means(encoded, matrix)))

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return self._means(encoded, matrix)[self._codes(encoded)]

    def _means(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return code_means(matrix, self._codes(encoded), values.row_count(encoded, "codebook"))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        codes = self._most_codes(shape, options)
        return values.matrix_bytes(codes, shape[1], *values.widths(self, options)) + values.map_bytes(shape[0], codes)

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
    parameters = (_CODES, values.bits_parameter("bits", "b, bits of a codebook value", 8), values.STORE, _MAP, _ROWS)
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
    biased = True
    formula = f"{_FORMULA} + V·c/8 + 2 (b=16, c=16: no scales)"
    parameters = (*VqFamily.parameters, values.bits_parameter("bias_bits", "c, bits of a bias", 16))
    decoder_source = _READ_ROWS + "bias=g('bias',R)[0]\n"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        counts = needed_counts(matrix, context, self.name) + 1
        tables, codes, constants = self._coded(matrix, options, context)
        sums = torch.zeros(len(constants), dtype=torch.float64).index_add(0, codes, counts)
        bias = (counts / sums[codes]).log().float() + constants[codes]
        widths = values.widths(self, options, "bias_bits")
        return tables + values.matrix_tables("bias", bias[None], *widths, Account.BIAS)

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        coarse = super().refit(encoded, matrix)
        return coarse if bias is None else coarse.with_tables(values.moved(encoded, "bias", bias[None]))

    def bias(self, encoded: Encoded) -> Tensor:
        """The bias of every token's logit, float32 [rows]."""
        return values.read_matrix(encoded, "bias", encoded.shape[0])[0]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        bias = values.matrix_bytes(1, shape[0], *values.widths(self, options, "bias_bits"))
        return super().table_bytes(shape, options) + bias


@register
class VqExplicit(VqFamily):
    """VQ-Logits in which the most frequent tokens have rows of their own, stored at the codebook's width.

    The map still has an entry, zero, for those tokens: it costs next to nothing after a codec, and the decoder
    needs no second list.
    """

    name = "vq-logits-explicit"
    summary = "VQ-Logits with own rows for the most frequent tokens (by counts, else by row norm)"
    formula = f"{_FORMULA} + S·(d·b/8 + 2) + S·idx(V)/8 (b=16: no scales)"
    parameters = (*VqFamily.parameters, Parameter("explicit", int, "S, tokens with a row of their own", lowest=1))
    decoder_source = _READ_ROWS + "e=g('explicit',C);w[m(t['explicit_map'],len(e),R)]=e\n"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), (bits, store) = matrix.shape, values.widths(self, options)
        own = most_frequent(matrix, context)[: self._explicit((rows, columns), options)].sort().values
        shared = torch.ones(rows, dtype=torch.bool)
        shared[own] = False
        counts = counts_of(matrix, context)
        states = None if context.states is None else context.states.without(matrix[own])
        left = replace(context, counts=None if counts is None else counts[shared], states=states)
        tables, fitted, constants = self._coded(matrix[shared], options, left)
        codes = torch.zeros(rows, dtype=torch.int64)
        codes[shared] = fitted
        tables = (*tables[:-1], values.map_table("map", codes, len(constants)))
        # The codebook must keep a matrix of one row: then there are no own rows, and fp16 of any width holds none.
        explicit = values.matrix_tables("explicit", matrix[own], bits if len(own) else values.HALF_BITS, store)
        return (*tables, *explicit, values.map_table("explicit_map", own, rows))

    def _explicit(self, shape: tuple[int, int], options: Options) -> int:
        """Rows kept: one at least is left for the codebook."""
        return min(shape[0] - 1, int(options["explicit"]))

    def _most_codes(self, shape: tuple[int, int], options: Options) -> int:
        return min(shape[0] - self._explicit(shape, options), int(options["codes"]))

    def decode(self, encoded: Encoded) -> Tensor:
        decoded = super().decode(encoded)
        decoded[self._own(encoded)] = values.read_matrix(encoded, "explicit", encoded.shape[1])
        return decoded

    def _own(self, encoded: Encoded) -> Tensor:
        """Tokens that have rows of their own, int64 [rows of `explicit`]."""
        return values.read_map(encoded.tensor("explicit_map"), values.row_count(encoded, "explicit"), encoded.shape[0])

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        own = values.moved(encoded, "explicit", matrix[self._own(encoded)])
        return super().refit(encoded, matrix, bias).with_tables(own)

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        own = torch.zeros(len(matrix), 1, dtype=torch.bool)
        own[self._own(encoded)] = True
        return torch.where(own, matrix, super().smooth(encoded, matrix))

    def _means(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        """As the family's; own rows have an entry in the map too, which means nothing."""
        shared = torch.ones(len(matrix), dtype=torch.bool)
        shared[self._own(encoded)] = False
        return code_means(matrix[shared], self._codes(encoded)[shared], values.row_count(encoded, "codebook"))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        explicit = self._explicit(shape, options)
        own = values.matrix_bytes(explicit, shape[1], *values.widths(self, options))
        return super().table_bytes(shape, options) + own + -(-explicit * bits_for(shape[0]) // 8)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        return min(*shape, int(complete["codes"]) + self._explicit(shape, complete))


@register
class VqResidual(VqFamily):
    """VQ-Logits and low-rank factors of what it misses."""

    name = "vq-logits-residual"
    summary = "VQ-Logits with a low-rank residual"
    formula = f"{_FORMULA} + r·(V+d)·c/8 + 4r (b=16, c=16: no scales)"
    # Its factors take the codebook's rows back to the matrix's: to fit them to anything else is lost.
    parameters = (
        _CODES, values.HALF_DEFAULT, values.STORE, Parameter("rank", int, "r, the residual's rank", lowest=1),
        FACTOR_BITS,
    )  # fmt: skip
    decoder_source = _READ_ROWS.replace("w=c[i]", "") + READ_PRODUCT + "w=c[i]+f('',R)\n"

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        shape = (matrix.shape[0], matrix.shape[1])
        coarse, _, _ = self._coded(matrix, options, context)
        missed = matrix - super().decode(Encoded(scheme=self.name, shape=shape, tables=coarse))
        rank = min(*shape, int(options["rank"]))
        return coarse + factor_tables(missed, rank, *values.widths(self, options, "factor_bits"))

    def decode(self, encoded: Encoded) -> Tensor:
        return super().decode(encoded) + product(encoded, encoded.shape[0])

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """The codebook moves, the residual stays."""
        return super().refit(encoded, matrix - product(encoded, len(matrix)), bias)

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        residual = product(encoded, len(matrix))
        return super().smooth(encoded, matrix - residual) + residual

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        rank, widths = min(*shape, int(options["rank"])), values.widths(self, options, "factor_bits")
        return super().table_bytes(shape, options) + factor_bytes(*shape, rank, *widths)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        complete = self.options(options)
        return min(*shape, int(complete["codes"]) + int(complete["rank"]))
