"""Few bits with a scale for every group of columns: integers, signs, and trits in the published packings.

A fine scale follows a matrix whose columns differ in size, at 2 bytes a group; what it saves in error has to pay that.
G groups of a row are contiguous and differ by one column at most, so that G alone, the columns of the scales' table,
says which scale a column has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.packing import TRITS_PER_BYTE, pack_bits, pack_trits, unpack_bits, unpack_trits
from golfbudget.schemes.rate_distortion import RATE, cheapest, column_weights
from golfbudget.schemes.scalar import fit_rows, fit_ternary
from golfbudget.schemes.values import (
    STORE,
    column_groups,
    half_table,
    integer_bytes,
    integer_table,
    read_integers,
    store_of,
    to_half,
)

#: Decoder source of `u`: the scales as float32, one for every column.
READ_SCALES = "s=t['scales'].astype('f');u=s[:,n.arange(C)*s.shape[1]//C]\n"


def group_parameter(default: int | None = None) -> Parameter:
    """The option `group`."""
    summary = "g, most columns that share a scale; 0 for a whole row"
    return Parameter("group", int, summary, default=default, lowest=0)


def group_count(columns: int, options: Options) -> int:
    """Groups of a row, G = ceil(columns / g)."""
    group = int(options["group"])
    return -(-columns // group) if group else 1


def cut(matrix: Tensor, groups: int) -> Tensor:
    """Groups of a matrix [rows, columns] as rows, [rows * groups, widest group]; shorter ones end in zeros."""
    rows, columns = matrix.shape
    group, place = _places(columns, groups)
    filled = matrix.new_zeros(rows, groups, -(-columns // groups))
    filled[:, group, place] = matrix
    return filled.view(rows * groups, -1)


def joined(grouped: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `cut`, [rows, columns] of [rows * groups, widest group]."""
    groups = len(grouped) // rows
    group, place = _places(columns, groups)
    return grouped.view(rows, groups, -1)[:, group, place].contiguous()


def _places(columns: int, groups: int) -> tuple[Tensor, Tensor]:
    """The group of each column and its place there, int64 [columns] each."""
    group = column_groups(columns, groups)
    return group, torch.arange(columns) - torch.searchsorted(group, group)


def widths(columns: int, groups: int) -> Tensor:
    """Columns of each group, int64 [groups]."""
    return torch.bincount(column_groups(columns, groups), minlength=groups)


def scale_table(scales: Tensor, rows: int) -> Table:
    """Scales of the groups in `cut`'s order as fp16 [rows, groups]."""
    return half_table("scales", to_half(scales.view(rows, -1)))


def spread(scales: Tensor, columns: int) -> Tensor:
    """Scales [rows, groups] as float32 [rows, columns], each at the columns that it serves."""
    return scales.float()[:, column_groups(columns, scales.shape[1])]


@register
class GroupedScalar(TableScheme):
    """Signed integers of `bits` bits, symmetric around zero, with an fp16 scale for each group of a row."""

    name = "grouped-scalar"
    summary = "integers with one fp16 scale per group of columns, fitted to least squared error"
    formula = "V·d·b/8 + 2·V·⌈d/g⌉ (b planes of ⌈V·d/8⌉; store=bytes: V·d)"
    parameters = (Parameter("bits", int, "b, bits of a value", lowest=2, highest=8), group_parameter(128), STORE, RATE)
    decoder_source = READ_SCALES + (
        "x=t['values']\n"
        "if x.dtype==n.uint8:\n"
        " x=n.unpackbits(x,axis=1,count=R*C,bitorder='little').T@(1<<n.arange(len(x)));x=x>>1^-(x&1)\n"
        "w=x.astype('f').reshape(R,C)*u\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), bits, rate = matrix.shape, int(options["bits"]), float(options["rd"])
        levels = 2 ** (bits - 1) - 1
        cut_values, scales = fit_rows(cut(matrix, group_count(columns, options)), levels)
        values, stored = joined(cut_values, rows, columns), scale_table(scales, rows)
        if rate:
            weights = column_weights(context, columns, self.name)
            values = cheapest(matrix / spread(stored.tensor, columns), levels, rate, weights).to(torch.int8)
        return (integer_table("values", values, bits, str(options["store"])), stored)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        values = read_integers(encoded.tensor("values"), rows * columns).view(rows, columns)
        return values.float() * spread(encoded.tensor("scales"), columns)

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """Rounded again at the scales that the groups have."""
        old, scales = encoded.tables[0], spread(encoded.tensor("scales"), encoded.shape[1])
        levels = 2 ** (old.bits - 1) - 1
        values = (matrix / scales).round().clamp(-levels, levels).to(torch.int8)
        return encoded.with_tables(integer_table("values", values, old.bits, store_of(old.tensor)))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        values = integer_bytes(shape[0] * shape[1], int(options["bits"]), str(options["store"]))
        return values + _scale_bytes(shape, options)


def _signs(name: str, mask: Tensor) -> Table:
    """Booleans of any shape, eight to a byte."""
    packed = pack_bits(mask.flatten().to(torch.int64), 1)
    return Table(name=name, account=Account.WEIGHTS, tensor=packed, bits=1, shape=tuple(mask.shape))


def _scale_bytes(shape: tuple[int, int], options: Options) -> int:
    return 2 * shape[0] * group_count(shape[1], options)


@register
class Binary(TableScheme):
    """The sign of each weight, eight to a byte, times the mean magnitude of its group: the least squared error."""

    name = "binary"
    summary = "signs, eight to a byte, with the mean magnitude of each group of columns"
    formula = "⌈V·d/8⌉ + 2·V·⌈d/g⌉"
    parameters = (group_parameter(0),)
    decoder_source = (
        READ_SCALES + "w=(n.unpackbits(t['signs'],count=R*C,bitorder='little').reshape(R,C)*2-1.).astype('f')*u\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        rows, columns = matrix.shape
        groups = group_count(columns, options)
        # In double precision, so that no sum of finite numbers is infinite.
        sums = cut(matrix, groups).double().abs().sum(1).view(rows, groups)
        return _signs("signs", matrix >= 0), scale_table(sums / widths(columns, groups), rows)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        positive = unpack_bits(encoded.tensor("signs"), 1, rows * columns).view(rows, columns)
        return (2 * positive - 1).float() * spread(encoded.tensor("scales"), columns)

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return -(-shape[0] * shape[1] // 8) + _scale_bytes(shape, options)


def _trits(matrix: Tensor, options: Options) -> tuple[Tensor, Table]:
    """Values in {-1, 0, 1}, int8 [rows, columns], and the scales' table."""
    rows, columns = matrix.shape
    values, scales = fit_ternary(cut(matrix, group_count(columns, options)))
    return joined(values, rows, columns), scale_table(scales, rows)


@register
class TernaryGroups(TableScheme):
    """As `ternary` with a scale for each group of columns; base three, five values to a byte, or one a byte."""

    name = "ternary-groups"
    summary = "values in {-1, 0, 1} with one fp16 scale per group of columns, in base three"
    formula = "⌈V·d/5⌉ + 2·V·⌈d/g⌉ (store=bytes: V·d)"
    parameters = (group_parameter(128), STORE)
    decoder_source = READ_SCALES + (
        "x=t['values']\n"
        "if x.dtype==n.uint8:x=x[:,None]//3**n.arange(5)%3-1.\n"
        "w=x.ravel()[:R*C].reshape(R,C).astype('f')*u\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        values, scales = _trits(matrix, options)
        stored = pack_trits(values) if options["store"] == "packed" else values
        table = Table(name="values", account=Account.WEIGHTS, tensor=stored, bits=2, shape=tuple(matrix.shape))
        return (table, scales)

    def decode(self, encoded: Encoded) -> Tensor:
        (rows, columns), stored = encoded.shape, encoded.tensor("values")
        values = unpack_trits(stored, rows * columns) if stored.dtype is torch.uint8 else stored
        return values.view(rows, columns).float() * spread(encoded.tensor("scales"), columns)

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        count = shape[0] * shape[1]
        values = -(-count // TRITS_PER_BYTE) if options["store"] == "packed" else count
        return values + _scale_bytes(shape, options)


@register
class TernaryBitmask(TableScheme):
    """As `ternary-groups`, as a mask of the values that are not zero and the signs of those.

    The size depends on the zeros: raw_bytes counts a matrix without any.
    """

    name = "ternary-bitmask"
    summary = "values in {-1, 0, 1} as a mask of what is not zero, and the signs of that"
    formula = "⌈V·d/8⌉ + ⌈z/8⌉ + 2·V·⌈d/g⌉ (z values not zero, V·d at most)"
    sized_by_values = True
    parameters = (group_parameter(128),)
    decoder_source = READ_SCALES + (
        "b=lambda k,c:n.unpackbits(t[k],count=c,bitorder='little').astype('f')\n"
        "w=b('mask',R*C);z=w>0;w[z]=b('signs',int(z.sum()))*2-1;w=w.reshape(R,C)*u\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        values, scales = _trits(matrix, options)
        flat = values.flatten()
        mask = flat != 0
        return (_signs("mask", mask.view(matrix.shape)), _signs("signs", flat[mask] > 0), scales)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        mask = unpack_bits(encoded.tensor("mask"), 1, rows * columns).bool()
        values = torch.zeros(rows * columns)
        values[mask] = 2 * unpack_bits(encoded.tensor("signs"), 1, int(mask.sum())).float() - 1
        return values.view(rows, columns) * spread(encoded.tensor("scales"), columns)

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return 2 * -(-shape[0] * shape[1] // 8) + _scale_bytes(shape, options)
