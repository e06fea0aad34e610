"""Write a `golfbudget-pack`: choose what each stream holds, in which form and order and how shuffled, and lay it out.

Other forms of a tensor decode to it exactly: a narrower dtype, rows in another order.  Nothing is compressed here;
`search` decides which codec is best for each stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from golfbudget.dtypes import element_bytes
from golfbudget.filters import shuffle
from golfbudget.formats.base import PACK
from golfbudget.formats.pack import CODECS, SHUFFLED, STREAM, Header, Piece
from golfbudget.repacking.compressors import RunForm, quick
from golfbudget.repacking.saved_object import TORCH, Item, SavedObject

_NUMBER = {name: number for number, name in CODECS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How a pack is laid out.

    `streams` lists the items of each stream in order; the first stream also has the header.  `shuffled` are streams
    whose bytes are shuffled by their element width.  `stored` holds the items that are stored in another form than
    they came in: (piece, data, order of rows).  `coded` are streams under rANS, with their runs.
    """

    streams: tuple[tuple[int, ...], ...]
    shuffled: frozenset[int] = frozenset()
    stored: tuple[tuple[int, Stored], ...] = ()
    coded: tuple[tuple[int, tuple[RunForm, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An item in the form in which it is stored; `rows` are the bytes of the order of its rows, u16 each."""

    piece: Piece
    data: bytes
    rows: bytes | None = None


def contents(held: SavedObject, arrangement: Arrangement) -> list[bytes]:
    """What each stream decodes to, shuffle undone; the first begins with the header.

    An order of rows is a piece of the first stream: it resembles nothing else.
    """
    stored = dict(arrangement.stored)
    forms = {n: stored.get(n) or Stored(piece=i.piece, data=i.data) for n, i in enumerate(held.items)}
    numbers = [number for stream in arrangement.streams for number in stream]
    orders = {number: at for at, number in enumerate(n for n in numbers if forms[n].rows is not None)}
    places = {number: len(orders) + at for at, number in enumerate(numbers)}
    pieces = [Piece(dtype="uint16", shape=forms[number].piece.shape[:1]) for number in orders]
    pieces += [replace(forms[number].piece, rows=orders.get(number)) for number in numbers]
    counts = [len(stream) for stream in arrangement.streams]
    counts[0] += len(orders)
    tree = renumbered(held.tree, places)
    header = Header(tree=tree, pieces=tuple(pieces), counts=tuple(counts)).encode()
    bodies = [b"".join(forms[number].data for number in stream) for stream in arrangement.streams]
    bodies[0] = header + b"".join(forms[number].rows or b"" for number in orders) + bodies[0]
    return bodies


def raw_streams(held: SavedObject, arrangement: Arrangement) -> list[bytes]:
    """What each stream decodes to as stored, shuffled where it is."""
    bodies = contents(held, arrangement)
    stored = dict(arrangement.stored)
    for number in arrangement.shuffled:
        first = arrangement.streams[number][0]
        piece = stored[first].piece if first in stored else held.items[first].piece
        bodies[number] = shuffle(bodies[number], width(piece))
    return bodies


def assemble(streams: Sequence[tuple[str, bytes]], shuffled: frozenset[int]) -> bytes:
    """The file, from (codec, compressed bytes) of every stream."""
    ways = (_NUMBER[codec] + SHUFFLED * (number in shuffled) for number, (codec, _) in enumerate(streams))
    table = b"".join(STREAM.pack(way, len(data)) for way, (_, data) in zip(ways, streams, strict=True))
    return PACK + bytes([len(streams)]) + table + b"".join(data for _, data in streams)


def width(piece: Piece) -> int:
    """Bytes of an element."""
    return element_bytes(piece.dtype) if piece.dtype else 1


def renumbered(tree: object, places: dict[int, int]) -> object:
    """The tree with every reference to a piece replaced."""
    if isinstance(tree, list):
        return [renumbered(item, places) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "" in tree:
        special = tree[""]
        if isinstance(special, int):
            return {"": places[special]}
        kind, items, *state = special
        return {"": [kind, renumbered(items, places), *state]}
    return {key: renumbered(value, places) for key, value in tree.items()}


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
