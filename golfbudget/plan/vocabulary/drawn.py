"""Codebook heads as if trained in that form: codebook rows drawn like the head's, codes drawn evenly.

Fitting thousands of codes to weights without structure takes minutes and says nothing about bytes: the codebook's
values are of the same kind, and a map in full use is as good as random.  So the fit is left out, and all else
(rounding, tables, packing, bias, explicit rows, residual) is the scheme's own encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Scheme
from golfbudget.schemes.grouped_codes import Product
from golfbudget.schemes.values import HALF_BITS, check_bits, map_tables, matrix_tables
from golfbudget.schemes.vq_family import VqBias, VqExplicit, VqFamily, VqInteger, VqResidual
from golfbudget.schemes.vq_logits import to_used


class _Unfitted(VqFamily):
    """The first K rows as codebook, and codes drawn evenly."""

    def _fit(self, matrix: Tensor, options: Options, context: Context) -> tuple[Tensor, Tensor]:
        codes = min(len(matrix), int(options["codes"]))
        drawn = _codes((len(matrix),), codes, context.seed)
        # Every code names a token: in a trained codebook none lies idle.
        drawn[:codes] = torch.randperm(codes, generator=torch.Generator().manual_seed(context.seed))
        return to_used(matrix[:codes], drawn)


class _Integer(_Unfitted, VqInteger):
    pass


class _Bias(_Unfitted, VqBias):
    pass


class _Explicit(_Unfitted, VqExplicit):
    pass


class _Residual(_Unfitted, VqResidual):
    pass


class _Plain(_Integer):
    """`vq-logits` is `vq-logits-int` with an fp16 codebook, table for table."""

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        return replace(super().encode(matrix, {**options, "bits": HALF_BITS}, context), scheme="vq-logits")


class _Product(Product):
    """The first K rows as all groups' codebooks."""

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        options = self.options(options)
        (rows, columns), bits = matrix.shape, check_bits(self.name, "bits", options)
        groups, codes = self._sizes((rows, columns), options)
        tables = matrix_tables("codebook", matrix[:codes], bits, str(options["store"]), Account.CODEBOOK)
        mapping = map_tables("map", _codes((groups, rows), codes, context.seed), codes)
        return Encoded(scheme=self.name, shape=(rows, columns), tables=(*tables, mapping))


def _codes(shape: tuple[int, ...], codes: int, seed: int) -> Tensor:
    """Codes [shape], each as likely as any other."""
    return torch.randint(codes, shape, generator=torch.Generator().manual_seed(seed))


_DRAWN: dict[str, Callable[[], Scheme]] = {
    "vq-logits": _Plain,
    "vq-logits-int": _Integer,
    "vq-logits-bias": _Bias,
    "vq-logits-explicit": _Explicit,
    "vq-logits-residual": _Residual,
    "product": _Product,
}


def encode_drawn(scheme: Scheme, matrix: Tensor, options: Options, context: Context) -> Encoded:
    """The encoding of a synthetic matrix [vocabulary, width], its codebooks drawn where the scheme is known here."""
    made = _DRAWN.get(scheme.name)
    return (scheme if made is None else made()).encode(matrix, options, context)
