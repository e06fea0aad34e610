"""Groups of neighbouring columns that share a scale: how they are cut, and how scales go back to their columns.

G groups of a row are contiguous and differ by one column at most, so that G alone, the columns of the scales' table,
says which scale a column has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Options, Parameter, Table
from golfbudget.schemes.product_codes import column_groups
from golfbudget.schemes.values import to_half

#: Decoder source of `u`: the scales as float32, one for every column.
READ_SCALES = "s=t['scales'].astype('f');u=s[:,n.arange(C)*s.shape[1]//C]\n"


def group_parameter(default: int | None = None) -> Parameter:
    """The option `group`."""
    summary = "g, most columns that share a scale; 0 for a whole row"
    return Parameter(name="group", kind=int, summary=summary, default=default, lowest=0)


def group_count(columns: int, options: Options) -> int:
    """Groups of a row, G = ceil(columns / g)."""
    group = int(options["group"])
    return -(-columns // group) if group else 1


def cut(matrix: Tensor, groups: int) -> Tensor:
    """Groups as rows, [rows * groups, widest group]; shorter ones are filled up with zeros."""
    rows, columns = matrix.shape
    group, place = _places(columns, groups)
    filled = matrix.new_zeros(rows, groups, -(-columns // groups))
    filled[:, group, place] = matrix
    return filled.view(rows * groups, -1)


def joined(grouped: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `cut`: [rows, columns]."""
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
    stored = to_half(scales.view(rows, -1))
    return Table(name="scales", account=Account.SCALES, tensor=stored, bits=16, shape=tuple(stored.shape))


def spread(scales: Tensor, columns: int) -> Tensor:
    """Scales [rows, groups] as float32 [rows, columns], each at the columns that it serves."""
    return scales.float()[:, column_groups(columns, scales.shape[1])]
