"""Other forms of a tensor that decode to it exactly: a narrower dtype, rows in another order; and orders of tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from golfbudget.formats.pack.grammar import Piece
from golfbudget.repacking.compressors import quick
from golfbudget.repacking.saved_object import TORCH, Item
from golfbudget.repacking.writing import Stored

#: Orders are stored in 16 bits.
_MOST_ROWS = 1 << 16
_FEWEST_ROWS = 64
#: An order of rows must promise at least so many bytes; guesses are no better.
_PROMISING = 64


def narrowed(item: Item, *, framework: str = TORCH) -> Stored | None:
    """A float32 tensor as float16, or else as bfloat16, where every value is exactly one; None where neither is.

    numpy knows no bfloat16, so that its decoder could not widen it.
    Compared bit for bit, so that a NaN's payload and a zero's sign are kept too.
    """
    import numpy as np

    if item.piece.dtype != "float32" or not item.data or item.piece.rows is not None:
        return None
    wide = np.frombuffer(item.data, dtype="<f4")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = wide.astype("<f2")
    if half.astype("<f4").tobytes() == item.data:
        return Stored(piece=replace(item.piece, dtype="float16", wide="float32"), data=half.tobytes())
    bits = np.frombuffer(item.data, dtype="<u4")
    if framework == TORCH and not (bits & 0xFFFF).any():
        data = (bits >> 16).astype("<u2").tobytes()
        return Stored(piece=replace(item.piece, dtype="bfloat16", wide="float32"), data=data)
    return None


def sorted_rows(piece: Piece, data: bytes) -> Stored | None:
    """A matrix with like rows together, where that promises to pay for its order; None elsewhere.

    Rows are ordered by the sum of their bytes' distances from zero, then by their bytes.
    """
    import numpy as np

    if len(piece.shape) != 2 or not _FEWEST_ROWS <= piece.shape[0] <= _MOST_ROWS or not data or piece.dtype == "":
        return None
    table = np.frombuffer(data, dtype=np.uint8).reshape(piece.shape[0], -1)
    energy = np.abs(table.astype(np.int8).astype(np.int32)).sum(axis=1)
    order = np.lexsort((*table[:, :8].T[::-1], energy))
    ordered, rows = table[order].tobytes(), order.astype("<u2").tobytes()
    if quick(ordered) + len(rows) + _PROMISING > quick(data):
        return None
    return Stored(piece=piece, data=ordered, rows=rows)


Order = Callable[[int], tuple[object, ...]]


def orders(items: Sequence[Item], roles: Mapping[str, str]) -> dict[str, Order]:
    """Keys to sort items by: every order puts what resembles each other together in its own way."""

    def kind(number: int) -> str:
        return re.sub(r"\d+", "#", items[number].name)

    return {
        "as stored": lambda number: (number,),
        "by role": lambda number: (roles.get(items[number].name, ""), kind(number), number),
        "by dtype and shape": lambda number: (items[number].piece.dtype, items[number].piece.shape, number),
        "by name": lambda number: (items[number].name, number),
    }
