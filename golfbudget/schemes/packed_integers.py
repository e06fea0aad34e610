"""Integers in groups as compressed-tensors packs them, so that `transformers` loads them: signed, around zero.

A row is cut into groups of equal length with a bf16 scale each; values of b bits stand one after another in int32
words, along the row, from the lowest bit on.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register_bound
from golfbudget.schemes.scalar import fit_rows

_WORD = 32
#: The table of a matrix whose rows do not divide into groups: its numbers.
KEPT = "kept"
VALUES, SCALES = "values", "scales"


def pack_words(values: Tensor, bits: int) -> Tensor:
    """Signed integers [rows, columns] in int32 words [rows, ceil(columns * bits / 32)].

    >>> pack_words(torch.tensor([[-8, -7, 7]]), 4).tolist()
    [[3856]]
    """
    unsigned = (values.to(torch.int64) + 2 ** (bits - 1)).numpy().astype(np.uint8)
    every = np.unpackbits(unsigned[..., None], axis=-1, count=bits, bitorder="little")
    flat = every.reshape(len(unsigned), -1)
    words = -(-flat.shape[1] // _WORD)
    padded = np.pad(flat, ((0, 0), (0, words * _WORD - flat.shape[1])))
    return torch.from_numpy(np.packbits(padded, axis=1, bitorder="little").view("<i4").copy())


def unpack_words(words: Tensor, bits: int, columns: int) -> Tensor:
    """The inverse of `pack_words`: int64 [rows, columns] of int32 [rows, words]."""
    flat = np.unpackbits(words.contiguous().numpy().view(np.uint8), axis=1, bitorder="little")
    each = flat[:, : columns * bits].reshape(len(flat), columns, bits)
    found = np.packbits(each, axis=-1, bitorder="little")[..., 0].astype(np.int64)
    values: Tensor = torch.from_numpy(found) - 2 ** (bits - 1)
    return values


@register_bound
class PackedIntegers(TableScheme):
    """Integers of some bits with a scale for each group of columns; rows that do not divide into groups are kept."""

    name = "packed-int"
    layouts = ("compressed-tensors",)
    summary = "integers in int32 words with one bf16 scale per group of columns, as transformers loads them"
    formula = "4·V·⌈d·b/32⌉ + 2·V·d/g"
    parameters = (
        Parameter("bits", int, "b, bits of a value", lowest=2, highest=8, default=4),
        Parameter("group", int, "g, columns that share a scale", lowest=8, default=32),
    )
    needs = ("compressed-tensors",)
    tried = (
        {"bits": 8, "group": 32}, {"bits": 6, "group": 32}, {"bits": 4, "group": 32}, {"bits": 4, "group": 128},
        {"bits": 3, "group": 32},
    )  # fmt: skip

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), bits, group = matrix.shape, int(options["bits"]), int(options["group"])
        if columns % group:
            kept = matrix.bfloat16()
            return (Table(name=KEPT, account=Account.WEIGHTS, tensor=kept, bits=16, shape=(rows, columns)),)
        levels = 2 ** (bits - 1) - 1
        _, fitted = fit_rows(matrix.reshape(-1, group), levels)
        scales = fitted.float().bfloat16().view(rows, -1)
        # A scale that is zero stands for a group of zeros, whatever its values are.
        divisors = scales.float().clamp_min(torch.finfo(torch.bfloat16).tiny).repeat_interleave(group, dim=1)
        values = (matrix / divisors).round().clamp(-levels, levels)
        words = pack_words(values, bits)
        return (
            Table(name=VALUES, account=Account.WEIGHTS, tensor=words, bits=bits, shape=(rows, columns)),
            Table(name=SCALES, account=Account.SCALES, tensor=scales, bits=16, shape=tuple(scales.shape)),
        )

    def decode(self, encoded: Encoded) -> Tensor:
        if encoded.tables[0].name == KEPT:
            return encoded.tables[0].tensor.float()
        columns, words, scales = encoded.shape[1], encoded.tensor(VALUES), encoded.tensor(SCALES)
        values = unpack_words(words, encoded.tables[0].bits, columns).float()
        found: Tensor = values * scales.float().repeat_interleave(columns // scales.shape[1], dim=1)
        return found

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), bits, group = shape, int(options["bits"]), int(options["group"])
        if columns % group:
            return 2 * rows * columns
        return 4 * rows * -(-columns * bits // _WORD) + 2 * rows * (columns // group)
