"""Parts that head schemes are made of: a matrix at any number of bits as tables, and maps to codes.

A matrix of 16 bits is one fp16 table.  Below, it is signed integers with one fp16 scale per row, fitted to least
squared error; those of fewer than 8 bits are bit planes (`packed`) or one a byte for the codec (`bytes`).  A plane
is its own row of the table, so that the number of bits can be read from the table.  Which way gives the smaller file
depends on the matrix and the codec.  Here are also the pieces of decoder source that read them back.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes.base import Encoded, Options, Parameter, Scheme, Table
from golfbudget.schemes.packing import bits_for, pack_bits, unpack_bits
from golfbudget.schemes.rate_distortion import rounded
from golfbudget.schemes.rounding import round_rows
from golfbudget.schemes.scalar import fit_rows

HALF_BITS, BYTE_BITS = 16, 8
_STORE = "how integers of fewer than 8 bits are stored: at true width, or one a byte for the codec"
STORE = Parameter("store", str, _STORE, default="packed", words=("packed", "bytes"))

#: `g(k,c)`: the matrix of table `k`, which has `c` columns.
READ_MATRIX = (
    "def g(k,c):\n"
    " x=t[k];s=t.get(k+'_scales');r=len(x if s is None else s)\n"
    " if x.dtype==n.uint8:\n"
    "  x=n.unpackbits(x,axis=1,count=r*c,bitorder='little').T@(1<<n.arange(len(x)));x=x>>1^-(x&1)\n"
    " x=x.astype('f').reshape(r,c);return x if s is None else x*s.astype('f')[:,None]\n"
)
#: `m(x,c,N)`: `c` indices into N things from the packed bytes `x`.
READ_MAP = (
    "def m(x,c,N):\n"
    " b=max(1,(N-1).bit_length())\n"
    " return n.unpackbits(x,count=c*b,bitorder='little').reshape(c,b)@(1<<n.arange(b))\n"
)
#: Both, for a matrix whose rows a map names.
READ_CODED = READ_MATRIX + READ_MAP


def bits_parameter(name: str, summary: str, default: int | None = None) -> Parameter:
    """An option that takes 2 to 8, or 16."""
    return Parameter(name, int, f"{summary}: 2 to 8, or 16", default=default, lowest=2, highest=16)


#: The width of a matrix that is fp16 unless it is told to be integers.
HALF_DEFAULT = bits_parameter("bits", "b, bits of a value", HALF_BITS)


def check_bits(scheme: str, name: str, options: Options) -> int:
    """The width in bits that an option gives; `UsageError` for one between bytes and fp16."""
    bits = int(options[name])
    if BYTE_BITS < bits < HALF_BITS:
        raise UsageError(f"scheme {scheme}: option {name} is {bits}, expected 2 to 8 (integers) or 16 (fp16)")
    return bits


def column_groups(columns: int, groups: int) -> Tensor:
    """The group of each column, int64 [columns]: contiguous groups whose sizes differ by one at most.

    >>> column_groups(7, 3).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    return torch.arange(columns) * groups // columns


def widths(scheme: Scheme, options: Options, name: str = "bits") -> tuple[int, str]:
    """The width in bits that an option gives, and how such integers are stored."""
    return check_bits(scheme.name, name, options), str(options["store"])


def to_half(matrix: Tensor) -> Tensor:
    """Numbers of any shape rounded to fp16, in that shape; what fp16 cannot reach becomes its largest number."""
    largest = torch.finfo(torch.float16).max
    return matrix.clamp(-largest, largest).half().contiguous()


def half_table(name: str, half: Tensor, account: Account = Account.SCALES) -> Table:
    """An fp16 tensor of any shape as it is."""
    return Table(name=name, account=account, tensor=half, bits=HALF_BITS, shape=tuple(half.shape))


def matrix_tables(
    name: str,
    matrix: Tensor,
    bits: int,
    store: str,
    account: Account = Account.WEIGHTS,
    *,
    rate: float = 0.0,
    weights: Tensor | None = None,
) -> tuple[Table, ...]:
    """A float32 matrix [rows, columns] as the table `name`, and `name_scales` unless bits is 16.

    `rate` and `weights` [columns] are those of `rate_distortion.rounded`.
    """
    if bits == HALF_BITS:
        return (half_table(name, to_half(matrix), account),)
    levels = 2 ** (bits - 1) - 1
    values, scales = fit_rows(matrix, levels)
    if rate:
        found, steps = rounded(matrix, scales.float(), levels, rate, weights)
        values, scales = found.to(torch.int8), steps.half()
    return integer_table(name, values, bits, store, account), half_table(f"{name}_scales", scales)


def integer_table(name: str, values: Tensor, bits: int, store: str, account: Account = Account.WEIGHTS) -> Table:
    """Signed integers of `bits` bits, int8 [rows, columns], as a table without scales."""
    stored = _planes(values, bits) if bits < BYTE_BITS and store == "packed" else values
    return Table(name=name, account=account, tensor=stored, bits=bits, shape=tuple(values.shape))


def integer_bytes(count: int, bits: int, store: str) -> int:
    """Raw bytes of what `integer_table` gives for `count` integers."""
    return count if bits == BYTE_BITS or store == "bytes" else bits * -(-count // 8)


def read_integers(stored: Tensor, count: int) -> Tensor:
    """The inverse of `integer_table`, flat: integers [count] of int8 [rows, columns] or bit planes [bits, bytes]."""
    return _unplanes(stored, count) if stored.dtype is torch.uint8 else stored.flatten()


def matrix_bytes(rows: int, columns: int, bits: int, store: str) -> int:
    """Raw bytes of what `matrix_tables` gives."""
    if bits == HALF_BITS:
        return 2 * rows * columns
    return integer_bytes(rows * columns, bits, store) + 2 * rows


def row_count(encoded: Encoded, name: str) -> int:
    """Rows of the matrix in table `name`."""
    tensor = encoded.tensor(name)
    return len(tensor if tensor.dtype is torch.float16 else encoded.tensor(f"{name}_scales"))


def read_matrix(encoded: Encoded, name: str, columns: int) -> Tensor:
    """The float32 matrix [rows, columns] in table `name`."""
    tensor, rows = encoded.tensor(name), row_count(encoded, name)
    if tensor.dtype is torch.float16:
        return tensor.float()
    scales = encoded.tensor(f"{name}_scales").float()[:, None]
    return read_integers(tensor, rows * columns).float().view(rows, columns) * scales


def reread(tables: tuple[Table, ...], columns: int) -> Tensor:
    """What tables just made by `matrix_tables` decode to, [rows, columns], so that what follows is fitted to it."""
    return read_matrix(Encoded(scheme="", shape=(1, columns), tables=tables), tables[0].name, columns)


def moved(encoded: Encoded, name: str, matrix: Tensor) -> Table:
    """The table `name` for another matrix [rows, columns] of its shape, at the scales that it has."""
    old = next(table for table in encoded.tables if table.name == name)
    if old.tensor.dtype is torch.float16:
        return replace(old, tensor=to_half(matrix))
    scales = encoded.tensor(f"{name}_scales").float()
    values = round_rows(matrix, scales, 2 ** (old.bits - 1) - 1).to(torch.int8)
    return integer_table(name, values, old.bits, store_of(old.tensor), old.account)


def store_of(stored: Tensor) -> str:
    """How a table of `integer_table` is stored, packed or not, by its tensor of any shape."""
    return "packed" if stored.dtype is torch.uint8 else "bytes"


def _planes(values: Tensor, bits: int) -> Tensor:
    """Bit planes, uint8 [bits, ceil(n / 8)], lowest first; small values of either sign have few bits set."""
    flat = values.flatten().to(torch.int64)
    folded = torch.where(flat < 0, -2 * flat - 1, 2 * flat).numpy()
    planes = (folded[None, :] >> np.arange(bits)[:, None]) & 1
    return torch.from_numpy(np.packbits(planes.astype(np.uint8), axis=1, bitorder="little"))


def _unplanes(stored: Tensor, count: int) -> Tensor:
    """The inverse of `_planes`: int64 [count]."""
    planes = np.unpackbits(stored.numpy(), axis=1, count=count, bitorder="little").astype(np.int64)
    folded = planes.T @ (1 << np.arange(len(planes)))
    return torch.from_numpy((folded >> 1) ^ -(folded & 1))


def map_table(name: str, indices: Tensor, count: int) -> Table:
    """Indices [n] into `count` things, packed to ceil(log2 count) bits each."""
    bits, shape = bits_for(count), tuple(indices.shape)
    return Table(name=name, account=Account.MAPPING, tensor=pack_bits(indices, bits), bits=bits, shape=shape)


def map_tables(name: str, indices: Tensor, count: int) -> Table:
    """Several maps [maps, n] into `count` things each; every map is a row of bytes of its own."""
    bits = bits_for(count)
    packed = torch.stack([pack_bits(row, bits) for row in indices])
    return Table(name=name, account=Account.MAPPING, tensor=packed, bits=bits, shape=tuple(indices.shape))


def read_map(packed: Tensor, entries: int, count: int) -> Tensor:
    """The inverse of one map: int64 [entries] of uint8 [bytes], for indices into `count` things."""
    return unpack_bits(packed, bits_for(count), entries)


def map_bytes(entries: int, count: int) -> int:
    """Raw bytes of one map of `entries` indices into `count` things."""
    return -(-entries * bits_for(count) // 8)
