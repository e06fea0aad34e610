"""The grammar of `golfbudget-pack`: what its header says, shared by the reader and by the writer in `repacking`.

    magic "GBPK" | count u8 | count x (how u8, stored length u32) | the streams, back to back

`how` is 16 x (shuffled) + the codec's number; integers are little-endian.  A shuffled stream decodes to the header of
the byte-shuffle filter and its planes.  Stream 0 decodes to a u32 length, a JSON header of that length, and the first
pieces; the other streams to their pieces alone.  The header is `[tree, pieces, counts]`:

    tree    what was saved: JSON values stand for themselves, {"": i} for piece i, {"": [kind, ...]} for the rest:
            t a tuple, s a torch.Size, d a dict and o an OrderedDict as pairs (o: and its attributes, where it has any)
    pieces  in stored order, [form, *shape]: a dtype; "wide/stored" for a tensor kept in a narrower dtype that holds it
            exactly; "dtype~i" for rows in another order, row j being row (piece i)[j]; "" for a byte string
    counts  pieces of each stream
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from golfbudget.dtypes import element_bytes, has_whole_bytes
from golfbudget.formats.naming import spelled, unique
from golfbudget.formats.signatures import PACK

#: Numbers of codecs; a number once given is never given to another.
CODECS = {0: "none", 1: "zlib", 2: "lzma", 3: "zstd", 4: "brotli"}
SHUFFLED = 16
MOST_STREAMS = 255
STREAM = struct.Struct("<BI")
LENGTH = struct.Struct("<I")
START = len(PACK) + 1

_DEEPEST = 64
_MOST_DIMENSIONS = 64
_MOST_PIECES = 100_000
#: Elements of one piece; no file has as many.
_MOST_ELEMENTS = 1 << 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of one tensor or byte string, as stored.

    `dtype` is the stored one, "" for a byte string; `wide` the dtype it is widened to where it was narrowed, `rows`
    the piece that says where each row belongs.
    """

    dtype: str
    shape: tuple[int, ...]
    wide: str | None = None
    rows: int | None = None

    @property
    def length(self) -> int:
        """Stored bytes."""
        return math.prod(self.shape) * (element_bytes(self.dtype) if self.dtype else 1)

    def form(self) -> list[object]:
        """As the header spells it."""
        wide = "" if self.wide is None else f"{self.wide}/"
        rows = "" if self.rows is None else f"~{self.rows}"
        return [f"{wide}{self.dtype}{rows}", *self.shape]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A sound header; `tree` as in JSON, `counts` the pieces of each stream."""

    tree: object
    pieces: tuple[Piece, ...]
    counts: tuple[int, ...]

    def encode(self) -> bytes:
        """The header's length and the header."""
        value = [self.tree, [piece.form() for piece in self.pieces], self.counts]
        text = json.dumps(value, separators=(",", ":")).encode()
        return LENGTH.pack(len(text)) + text


def parse(text: bytes) -> Header:
    """Read a header.  `ValueError` or `TypeError` says what is wrong with it."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    if not isinstance(value, list) or len(value) != 3:
        raise TypeError("it is a list of tree, pieces and counts")
    tree, forms, counts = value
    if not isinstance(forms, list) or len(forms) > _MOST_PIECES:
        raise TypeError(f"its pieces are a list of at most {_MOST_PIECES}")
    pieces = tuple(_piece(form, len(forms)) for form in forms)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts) or sum(counts) != len(pieces):
        raise ValueError(f"its counts are whole numbers that sum to {len(pieces)}")
    for piece in pieces:
        _check_rows(piece, pieces)
    header = Header(tree=tree, pieces=pieces, counts=tuple(counts))
    for _, item in named(tree):
        if isinstance(item, PieceRef) and item.piece >= len(pieces):
            raise ValueError(f"its tree refers to piece {item.piece} of {len(pieces)}")
    return header


def _piece(form: object, count: int) -> Piece:
    if not isinstance(form, list) or not form or not isinstance(form[0], str):
        raise TypeError("a piece is a list of its form and shape")
    shape = form[1:]
    if len(shape) > _MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"a shape is at most {_MOST_DIMENSIONS} whole numbers")
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"a piece has at most {_MOST_ELEMENTS} elements")
    spelling, tilde, rows = form[0].partition("~")
    wide, slash, dtype = spelling.rpartition("/")
    if tilde and not (rows.isascii() and rows.isdigit() and len(rows) < 10 and int(rows) < count and shape):
        raise ValueError(f"no piece holds the order of rows {rows[:20]!r}")
    for name in (dtype, wide):
        if name and not has_whole_bytes(name):
            raise ValueError(f"unknown dtype {name[:40]!r}")
    if (slash and not (wide and dtype)) or (not dtype and (len(shape) != 1 or tilde)):
        raise ValueError(f"unknown form {form[0][:40]!r}")
    return Piece(dtype=dtype, shape=tuple(shape), wide=wide or None, rows=int(rows) if tilde else None)


def _check_rows(piece: Piece, pieces: tuple[Piece, ...]) -> None:
    if piece.rows is not None:
        order = pieces[piece.rows]
        if order.dtype not in ("uint16", "uint32") or order.shape != piece.shape[:1]:
            raise ValueError(f"piece {piece.rows} is no order of {piece.shape[0]} rows")


# The tree


@dataclass(frozen=True, slots=True)
class PieceRef:
    """A place of the tree that a piece fills."""

    piece: int


def named(tree: object) -> Iterator[tuple[str, object]]:
    """(name, `PieceRef` or plain value) of everything in the tree, under the names that other readers give it.

    `ValueError` where the tree is none.
    """
    yield from _walk(tree, "[value]", 0, {})


def _walk(tree: object, name: str, depth: int, taken: dict[str, int]) -> Iterator[tuple[str, object]]:
    if depth > _DEEPEST:
        raise ValueError(f"its tree nests more than {_DEEPEST} deep")
    held, children = _opened(tree)
    if children is None:
        yield name, held
        return
    for key, child in children:
        inner = unique(f"{name}/{spelled(key)}" if depth else spelled(key), taken)
        yield from _walk(child, inner, depth + 1, taken)


def _opened(tree: object) -> tuple[object, list[tuple[object, object]] | None]:
    """A leaf and None, or None and the (key, child) pairs of what holds others."""
    if isinstance(tree, list):
        return None, list(enumerate(tree))
    if not isinstance(tree, dict):
        return tree, None
    if "" not in tree:
        return None, list(tree.items())
    special = tree[""]
    if len(tree) > 1:
        raise ValueError("its tree has an empty key beside others")
    if type(special) is int and special >= 0:
        return PieceRef(special), None
    if isinstance(special, list) and 2 <= len(special) <= 3 and isinstance(special[1], list):
        kind, items = special[:2]
        if kind in ("t", "s") and len(special) == 2:
            return None, list(enumerate(items))
        if kind in ("d", "o") and all(isinstance(pair, list) and len(pair) == 2 for pair in items):
            return None, [(key, child) for key, child in items]
    raise ValueError("its tree holds a special value of no known kind")
