"""`golfbudget-pack`, what `golfbudget repack` writes: tensors without a framework's records, in streams of like bytes.

The grammar stands in `grammar`.  A bundle: every stream is a leaf of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from golfbudget import codecs
from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError
from golfbudget.formats.base import Contents, Inner, Region, StoredTensor, row_major
from golfbudget.formats.pack.grammar import (
    CODECS,
    LENGTH,
    SHUFFLED,
    START,
    STREAM,
    Header,
    Piece,
    PieceRef,
    named,
    parse,
)
from golfbudget.formats.signatures import PACK
from golfbudget.ledger import Account, Span

#: Key of `Contents.values` under which a narrowed tensor's own dtype stands, followed by its name.
WIDE = "[dtype of] "
#: The header of a hundred thousand tensors takes 10 MB, and the first pieces lie in the same stream.
_HEADER_LIMIT = 1 << 31

_Stream = tuple[str, bool, Span]


def read_pack(data: Buffer, *, where: str) -> Contents:
    """Explain a pack by its directory and header.  Raises `CorruptError`."""
    streams = stream_table(data, where)
    first, unpacked = _first(data, streams, where)
    header, body = read_header(first, where)
    if len(header.counts) != len(streams):
        raise CorruptError(
            f"{where}: the header counts the pieces of {len(header.counts)} streams, the directory at byte "
            f"{len(PACK)} lists {len(streams)}"
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
    if stop < len(data):
        regions.append(Region(span=Span(stop, len(data)), account=Account.UNMAPPED, label="[after the streams]"))
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
    found = codecs.decode(codecs.get(codec), raw, where=f"{where}: stream 0", limit=_HEADER_LIMIT)
    return found.decoded, len(found.decoded)


def read_header(first: Buffer, where: str) -> tuple[Header, int]:
    """The header and where the first piece begins in stream 0."""
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
    header: Header,
    numbers: range,
    names_of: tuple[dict[int, list[str]], dict[int, str]],
    values: dict[str, object],
    body: int,
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
        found = dict(values)
        at = body
        for number in numbers:
            piece = header.pieces[number]
            span = Span(at, at + piece.length)
            at = span.stop
            names = owners.get(number, [])
            regions.append(_region(header.pieces[number], number, span, names, orders))
            if names and piece.dtype:
                tensors.append(_tensor(piece, names, span.start))
            elif names:
                found |= dict.fromkeys(names, bytes(data[span.start : span.stop]))
        return Contents(format="pack-stream", regions=tuple(regions), tensors=tuple(tensors), values=found)

    return read


def _region(piece: Piece, number: int, span: Span, names: list[str], orders: dict[int, str]) -> Region:
    if names and piece.dtype:
        return Region(span=span, account=Account.WEIGHTS, name=names[0], tensor=True)
    if names:
        return Region(span=span, account=Account.CONTAINER, name=names[0], label="[bytes]")
    if number in orders:
        return Region(span=span, account=Account.MAPPING, name=orders[number], label="[row order]")
    return Region(span=span, account=Account.UNMAPPED, label=f"[orphan piece {number}]")


def _tensor(piece: Piece, names: list[str], offset: int) -> StoredTensor:
    return StoredTensor(
        name=names[0],
        dtype=piece.dtype,
        shape=piece.shape,
        strides=row_major(piece.shape),
        offset=offset,
        aliases=tuple(names[1:]),
    )
