"""Write a `golfbudget-pack`: choose what each stream holds, in which order and how shuffled, and lay it out.

Nothing is compressed here; `search` decides which codec is best for each stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from golfbudget.dtypes import element_bytes
from golfbudget.filters.byte_shuffle import shuffle
from golfbudget.formats.pack.grammar import CODECS, SHUFFLED, STREAM, Header, Piece
from golfbudget.formats.signatures import PACK
from golfbudget.repacking.saved_object import SavedObject

_NUMBER = {name: number for number, name in CODECS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How a pack is laid out.

    `streams` lists the items of each stream in order; the first stream also has the header.  `shuffled` are streams
    whose bytes are shuffled by their element width.  `stored` holds the items that are stored in another form than
    they came in: (piece, data, order of rows).
    """

    streams: tuple[tuple[int, ...], ...]
    shuffled: frozenset[int] = frozenset()
    stored: tuple[tuple[int, Stored], ...] = ()


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
    table = b"".join(
        STREAM.pack(_NUMBER[codec] + SHUFFLED * (number in shuffled), len(data))
        for number, (codec, data) in enumerate(streams)
    )
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
