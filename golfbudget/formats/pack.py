"""`golfbudget-pack`, what `golfbudget repack` writes: tensors without a framework's records, in streams of like bytes.

A bundle: every stream is a leaf of its own.  The grammar is shared with the writer in `repacking`.

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from golfbudget import codecs
from golfbudget.codecs.base import Buffer
from golfbudget.dtypes import element_bytes, has_whole_bytes
from golfbudget.errors import CorruptError
from golfbudget.formats.base import PACK, Contents, Inner, Region, StoredTensor, spelled, unique, unmapped
from golfbudget.ledger import Account, Span

#: Numbers of codecs; a number once given is never given to another.
CODECS = {0: "none", 1: "zlib", 2: "lzma", 3: "zstd", 4: "brotli", 5: "rans"}
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


#: Key of `Contents.values` under which a narrowed tensor's own dtype stands, followed by its name.
WIDE = "[dtype of] "
#: The header of a hundred thousand tensors takes 10 MB, and the first pieces lie in the same stream.
_HEADER_LIMIT = 1 << 31

_Stream = tuple[str, bool, Span]
_Names = tuple[dict[int, list[str]], dict[int, str]]


def read_pack(data: Buffer, *, where: str) -> Contents:
    """Explain a pack by its directory and header.  Raises `CorruptError`."""
    streams = stream_table(data, where)
    first, unpacked = _first(data, streams, where)
    header, body = read_header(first, where)
    if len(header.counts) != len(streams):
        raise CorruptError(
            f"{where}: the header counts the pieces of {len(header.counts)} streams, the directory at byte {len(PACK)} "
            f"lists {len(streams)}"
        )
    at = START + STREAM.size * len(streams)
    regions = [Region(span=Span(0, at), account=Account.CONTAINER, label="[pack directory]")]
    owners, values = _owners(header)
    orders = {p.rows: owners[i][0] for i, p in enumerate(header.pieces) if p.rows is not None and owners.get(i)}
    starts = [0, *accumulate(header.counts)]
    for number, (codec, shuffled, span) in enumerate(streams):
        pieces = range(starts[number], starts[number + 1])
        read = _reader(header, pieces, (owners, orders), values if number == 0 else {}, body * (number == 0))
        inner = Inner(name=f"stream {number}", codec=codec, read=read, steps=2 if shuffled else 1)
        regions.append(Region(span=span, account=Account.CONTAINER, label=f"[stream {number}]", inner=inner))
    stop = streams[-1][2].stop
    regions += unmapped(stop, len(data), "[after the streams]")
    return Contents(format="golfbudget-pack", regions=tuple(regions), unpacked=unpacked)


def stream_table(data: Buffer, where: str) -> list[_Stream]:
    """(codec, shuffled, span) of every stream; `CorruptError` where they do not lie in the file."""
    count = data[START - 1] if len(data) >= START else 0
    at = START + STREAM.size * count
    if not count or at > len(data):
        raise CorruptError(f"{where}: a golfbudget-pack has 1 to 255 streams, byte 4 of {len(data)} says {count}")
    streams: list[_Stream] = []
    for number in range(count):
        how, length = STREAM.unpack(bytes(data[START + STREAM.size * number :][: STREAM.size]))
        codec = CODECS.get(how & ~SHUFFLED)
        if codec is None or (how & SHUFFLED and (number == 0 or codec == "none")):
            raise CorruptError(
                f"{where}: stream {number} is encoded in way {how}, known: {', '.join(map(str, CODECS))}, and "
                f"{SHUFFLED} more for a compressed one after the first that is shuffled"
            )
        if at + length > len(data):
            raise CorruptError(f"{where}: stream {number} ends at byte {at + length}, the file at {len(data)}")
        streams.append((codec, bool(how & SHUFFLED), Span(at, at + length)))
        at += length
    return streams


def _first(data: Buffer, streams: Sequence[_Stream], where: str) -> tuple[Buffer, int]:
    """What stream 0 decodes to, and how many bytes that took besides."""
    codec, _, span = streams[0]
    raw = memoryview(data)[span.start : span.stop]
    if codec == "none":
        return raw, 0
    stream = codecs.decode(codecs.get(codec), raw, where=f"{where}: stream 0", limit=_HEADER_LIMIT)
    return stream.decoded, len(stream.decoded)


def read_header(first: Buffer, where: str) -> tuple[Header, int]:
    """The header and where the first piece begins in stream 0; `CorruptError` where it is not sound."""
    length = int.from_bytes(first[: LENGTH.size], "little")
    if len(first) < LENGTH.size or length > len(first) - LENGTH.size:
        raise CorruptError(
            f"{where}: the pack header says it takes {length} bytes, stream 0 has {max(0, len(first) - LENGTH.size)}"
        )
    try:
        return parse(bytes(first[LENGTH.size : LENGTH.size + length])), LENGTH.size + length
    except (ValueError, TypeError) as error:
        raise CorruptError(f"{where}: the pack header (stream 0, byte {LENGTH.size}) is not sound: {error}") from None


def _owners(header: Header) -> tuple[dict[int, list[str]], dict[str, object]]:
    """The names of every piece, and the plain values."""
    owners: dict[int, list[str]] = {}
    values: dict[str, object] = {}
    for name, item in named(header.tree):
        if not isinstance(item, PieceRef):
            values[name] = item
            continue
        owners.setdefault(item.piece, []).append(name)
        wide = header.pieces[item.piece].wide
        if wide is not None:
            values[WIDE + name] = wide
    return owners, values


def _reader(
    header: Header, numbers: range, names_of: _Names, values: dict[str, object], body: int
) -> Callable[[Buffer, str], Contents]:
    """Explain one stream: the header, where it has it, and its pieces back to back.

    `names_of` has the names of each piece, and the tensor whose rows a piece orders.
    """
    owners, orders = names_of

    def read(data: Buffer, where: str) -> Contents:
        needed = body + sum(header.pieces[number].length for number in numbers)
        if needed != len(data):
            raise CorruptError(f"{where}: its pieces take {needed} bytes by the header, it decodes to {len(data)}")
        regions = [Region(span=Span(0, body), account=Account.CONTAINER, label="[pack header]")] if body else []
        tensors: list[StoredTensor] = []
        plain = dict(values)
        at = body
        for number in numbers:
            piece = header.pieces[number]
            span = Span(at, at + piece.length)
            at = span.stop
            names = owners.get(number, [])
            regions.append(_region(header.pieces[number], number, span, names, orders))
            if names and piece.dtype:
                tensors.append(StoredTensor.in_rows(names[0], piece.dtype, piece.shape, span.start, tuple(names[1:])))
            elif names:
                plain |= dict.fromkeys(names, bytes(data[span.start : span.stop]))
        return Contents(format="pack-stream", regions=tuple(regions), tensors=tuple(tensors), values=plain)

    return read


def _region(piece: Piece, number: int, span: Span, names: list[str], orders: dict[int, str]) -> Region:
    if names and piece.dtype:
        return Region(span=span, account=Account.WEIGHTS, name=names[0], tensor=True)
    if names:
        return Region(span=span, account=Account.CONTAINER, name=names[0], label="[bytes]")
    if number in orders:
        return Region(span=span, account=Account.MAPPING, name=orders[number], label="[row order]")
    return Region(span=span, account=Account.UNMAPPED, label=f"[orphan piece {number}]")
