"""Heads whose map is computed, not stored: sub-vectors found by a seeded hash, and fixed binary codes of token ids."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes import values
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.packing import bits_for

_SEED_BYTES = 8
#: An odd multiplier, a shift, and again: enough to spread consecutive numbers evenly.
_FIRST, _SECOND, _SHIFT = 2654435769, 2246822519, 15


def hashed_entries(count: int, seed: int, entries: int) -> Tensor:
    """The table entry of each of `count` sub-vectors, int64 [count]: 32-bit arithmetic, which wraps."""
    numbers = (np.arange(count, dtype=np.uint32) + np.uint32(seed)) * np.uint32(_FIRST)
    numbers = (numbers ^ (numbers >> np.uint32(_SHIFT))) * np.uint32(_SECOND)
    return torch.from_numpy(((numbers ^ (numbers >> np.uint32(_SHIFT))) % np.uint32(entries)).astype(np.int64))


@register
class Hashed(TableScheme):
    """Rows cut into pieces, each looked up in one table at a hash of its number.

    Every piece uses one entry, so that the entry of least squared error is the mean of the pieces that use it.
    """

    name = "hashed"
    summary = "sub-vectors of all rows in one table, found by a seeded hash (Slim)"
    formula = "M·⌈d/κ⌉·b/8 + 2M + 8 (b=16: no scales)"
    parameters = (
        Parameter("entries", int, "M, sub-vectors in the table", lowest=1, highest=2**31 - 1),
        Parameter("pieces", int, "κ, sub-vectors of a row", lowest=1, default=8),
        values.HALF_DEFAULT,
        values.STORE,
    )
    decoder_source = values.READ_MATRIX + (
        "s,k=t['seed'];p=-(-C//k);x=g('table',p)\n"
        "h=(n.arange(R*k,dtype='u4')+n.uint32(s))*n.uint32(2654435769)\n"
        "h=(h^h>>15)*n.uint32(2246822519);w=x[(h^h>>15)%n.uint32(len(x))].reshape(R,p*k)[:,:C]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        rows, columns = matrix.shape
        (pieces, width), entries = self._sizes(columns, options), int(options["entries"])
        padded = torch.zeros(rows, pieces * width, dtype=torch.float64)
        padded[:, :columns] = matrix
        # A row's last piece may be short: the columns that it lacks say nothing about the entry.
        there = torch.zeros(rows, pieces * width, dtype=torch.float64)
        there[:, :columns] = 1
        seed = context.seed % 2**31
        where = hashed_entries(rows * pieces, seed, entries)
        empty = torch.zeros(entries, width, dtype=torch.float64)
        sums = empty.index_add(0, where, padded.view(-1, width))
        table = (sums / empty.index_add(0, where, there.view(-1, width)).clamp_min(1)).float()
        numbers = torch.tensor([seed, pieces], dtype=torch.int32)
        tables = values.matrix_tables("table", table, *values.widths(self, options), Account.CODEBOOK)
        return (*tables, Table(name="seed", account=Account.MAPPING, tensor=numbers, bits=32, shape=(2,)))

    def _sizes(self, columns: int, options: Options) -> tuple[int, int]:
        """Pieces of a row, and columns of a piece."""
        width = -(-columns // min(columns, int(options["pieces"])))
        return -(-columns // width), width

    def decode(self, encoded: Encoded) -> Tensor:
        """`UsageError` for more pieces than a row has columns."""
        rows, columns = encoded.shape
        seed, pieces = (int(number) for number in encoded.tensor("seed"))
        if not 1 <= pieces <= columns:
            raise UsageError(f"a row of {columns} columns is said to be in {pieces} pieces")
        table = values.read_matrix(encoded, "table", -(-columns // pieces))
        where = hashed_entries(rows * pieces, seed, values.row_count(encoded, "table"))
        return table[where].view(rows, -1)[:, :columns].contiguous()

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        width = self._sizes(shape[1], options)[1]
        return values.matrix_bytes(int(options["entries"]), width, *values.widths(self, options)) + _SEED_BYTES


def binary_codes(rows: int) -> NDArray[np.float64]:
    """Token ids in binary, lowest bit first, as -1 and 1: [rows, idx(rows)]."""
    bits = np.arange(rows)[:, None] >> np.arange(bits_for(rows)) & 1
    return 2 * bits.astype(np.float64) - 1


@register
class BinaryCodes(TableScheme):
    """A projection [idx(V), columns] of the token id's bits, solved by least squares; meant for the input side."""

    name = "binary-codes"
    summary = "token ids in binary times a fitted projection: an input table of 0 bytes of codes"
    formula = "idx(V)·(d·b/8 + 2) (b=16: no scales)"
    parameters = (values.HALF_DEFAULT, values.STORE)
    decoder_source = values.READ_MATRIX + (
        "x=g('projection',C);w=((2.*(n.arange(R)[:,None]>>n.arange(len(x))&1)-1)@x).astype('f')\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        solved = torch.linalg.pinv(torch.from_numpy(binary_codes(len(matrix)))) @ matrix.double()
        return values.matrix_tables("projection", solved.float(), *values.widths(self, options))

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        projection = values.read_matrix(encoded, "projection", columns).numpy()
        return torch.from_numpy((binary_codes(rows) @ projection).astype(np.float32))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return values.matrix_bytes(bits_for(shape[0]), shape[1], *values.widths(self, options))

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, bits_for(shape[0]))
