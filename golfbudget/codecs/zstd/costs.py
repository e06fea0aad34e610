"""One Zstandard frame's stored bits, attributed exactly: blocks whole where one range holds them, opened otherwise.

Nothing is Huffman-decoded: the literals are known, so their bits are looked up; of the sequences only the lengths
and states are followed.  A literal owns its code's bits.  A sequence's offset, match length and literal length,
extra bits and the state bits read on leaving each code's state (whose number is what that code costs), belong to
the first byte of its match.  Everything else in a block is shared overhead.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.zstd.frames import BlockKind, Frame, FrameBlock, decoded_lengths, read_frame, skippable
from golfbudget.codecs.zstd.sections import Literals, Reader, Sections
from golfbudget.codecs.zstd.tables import State, backward, take
from golfbudget.errors import CorruptError
from golfbudget.ledger import Span, apportion

_JUMP_TABLE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """A block's sequences in order, and its end as if it were one more, without a match.

    Sequence i copies the literals `pieces[i]`, its match starts at byte `starts[i]` of the block, and `left[i]`
    bits of the stream are unread before it.
    """

    pieces: list[bytes]
    starts: list[int]
    left: list[int]


def own_bits(reader: Reader, number: int, out: bytes, cuts: Sequence[int]) -> list[int]:
    """Bits that the first `cut` decoded bytes of a compressed block own, for each of `cuts` (rising offsets).

    `out` is what the block decodes to.  Raises `CorruptError` unless every bitstream is used to the last bit and
    literals and matches add up to `out`; the message is the end of a sentence about the block.
    """
    body = reader.body(number)
    sections = reader.sections(number)
    if sections is None:
        raise CorruptError("is not compressed")
    if sections.sequences:
        *tables, at = reader.tables(number, sections)
        sequences = read_sequences(body[at:], sections.sequences, (tables[0], tables[1], tables[2]), out)
    else:
        sequences = Sequences(pieces=[out], starts=[len(out)], left=[0])
    literals = b"".join(sequences.pieces)
    if len(literals) != sections.regenerated:
        raise CorruptError(f"has {sections.regenerated} literals, but its sequences leave {len(literals)} bytes")
    places = _literals_before(sequences, cuts)
    bits = _literal_bits(reader, number, sections, literals, places)
    spent = (sequences.left[0] - sequences.left[bisect_left(sequences.starts, cut)] for cut in cuts)
    return [literal + sequence for literal, sequence in zip(bits, spent, strict=True)]


def read_sequences(
    stream: bytes, count: int, tables: tuple[list[State], list[State], list[State]], out: bytes
) -> Sequences:
    """Follow a sequences bitstream, RFC 8878 section 3.1.1.3.2.1, without looking at the offsets.

    `CorruptError` where the bitstream is too short or too long, or makes more than `out`, the decoded block.
    """
    import numpy as np

    literal_table, offset_table, match_table = tables
    _, at = backward(stream)
    # windows[i] holds 60 bits from byte 4 * i on, which CPython keeps in two digits: the longest read, 26 bits of
    # states, may start at any of the first 32.
    padded = stream + bytes(12)
    windows = (np.ndarray(len(stream) // 4 + 1, "<u8", padded, strides=(4,)) & np.uint64((1 << 60) - 1)).tolist()
    states = []
    for table in (literal_table, offset_table, match_table):
        at -= len(table).bit_length() - 1
        if at < 0:
            raise CorruptError("has a sequences bitstream too short for its first states")
        states.append(windows[at >> 5] >> (at & 31) & len(table) - 1)
    literal_state, offset_state, match_state = states
    pieces: list[bytes] = []
    starts: list[int] = []
    left: list[int] = []
    made = 0
    try:
        for more in range(count - 1, -1, -1):
            left.append(at)
            extra, literals, literal_width, literal_mask, literal_base = literal_table[literal_state]
            match_extra, match, match_width, match_mask, match_base = match_table[match_state]
            offset_extra, _, offset_width, offset_mask, offset_base = offset_table[offset_state]
            at -= offset_extra
            if match_extra:
                at -= match_extra
                match += windows[at >> 5] >> (at & 31) & (1 << match_extra) - 1
            if extra:
                at -= extra
                literals += windows[at >> 5] >> (at & 31) & (1 << extra) - 1
            start = made + literals
            pieces.append(out[made:start])
            starts.append(start)
            made = start + match
            if more:
                # The three states are read in one go; the literal lengths' bits are the highest.
                at -= literal_width + match_width + offset_width
                bits = windows[at >> 5] >> (at & 31)
                offset_state = offset_base + (bits & offset_mask)
                bits >>= offset_width
                match_state = match_base + (bits & match_mask)
                literal_state = literal_base + (bits >> match_width & literal_mask)
    except IndexError:
        raise CorruptError("has a sequences bitstream that is too short") from None
    if at:
        raise CorruptError(f"ends its sequences at bit {at} of their bitstream, expected bit 0")
    if made > len(out):
        raise CorruptError(f"has sequences that make {made} bytes, but decodes to {len(out)}")
    pieces.append(out[made:])
    starts.append(len(out))
    left.append(0)
    return Sequences(pieces=pieces, starts=starts, left=left)


def _literals_before(found: Sequences, cuts: Sequence[int]) -> list[int]:
    """How many of a block's literals lie before each of `cuts`."""
    places, known, before = [], 0, 0
    for cut in cuts:
        # All literals before the last match that starts earlier, and those between that match and the cut.
        number = bisect_left(found.starts, cut)
        before += sum(map(len, found.pieces[known:number]))
        known = number
        places.append(before + max(0, cut - found.starts[number] + len(found.pieces[number])))
    return places


def _literal_bits(reader: Reader, number: int, sections: Sections, literals: bytes, places: Sequence[int]) -> list[int]:
    """Bits that the first `place` literals own, for each of `places`; the streams' lengths are checked."""
    if sections.literals is Literals.RAW:
        return [8 * place for place in places]
    if sections.literals is Literals.RLE:
        return [0] * len(places)
    import numpy as np

    lengths = literals.translate(reader.code_lengths(number))
    if b"\0" in lengths:
        raise CorruptError(f"holds byte {literals[lengths.index(0)]} as a literal, which its Huffman tree lacks")
    spent = np.cumsum(np.frombuffer(lengths, np.uint8), dtype=np.int64)

    def before(place: int) -> int:
        return int(spent[place - 1]) if place else 0

    for start, stop, stream in _streams(reader, number, sections):
        read, expected = backward(stream)[1], before(stop) - before(start)
        if read != expected:
            raise CorruptError(f"has a Huffman stream of {read} bits, but its literals have codes of {expected}")
    return [before(place) for place in places]


def _streams(reader: Reader, number: int, sections: Sections) -> list[tuple[int, int, bytes]]:
    """The Huffman streams of a block, each with the range of literals that it makes."""
    body, total = reader.body(number), sections.regenerated
    at, stop = reader.streams_at(number, sections), sections.literals_stop
    if sections.streams == 1:
        return [(0, total, take(body, at, stop - at))]
    sizes = [int.from_bytes(take(body, at + 2 * i, 2), "little") for i in range(3)]
    at += _JUMP_TABLE
    sizes.append(stop - at - sum(sizes))
    share = (total + 3) // 4
    if sizes[3] < 0 or 3 * share > total:
        raise CorruptError("has four Huffman streams that do not fit its literals section")
    places = [0, share, 2 * share, 3 * share, total]
    starts = list(accumulate(sizes, initial=at))
    return [(places[i], places[i + 1], take(body, starts[i], sizes[i])) for i in range(4)]


@dataclass(frozen=True, slots=True)
class BlockStatistics:
    """One block as its headers describe it; `stored` and `decoded` are bytes, the block's header included."""

    offset: int
    kind: BlockKind
    stored: int
    decoded: int
    literals: int
    sequences: int


def block_statistics(data: Buffer, stored: Span, window_limit: int, *, where: str) -> tuple[BlockStatistics, ...]:
    """What the blocks of the frame at `stored` hold, from their headers alone; nothing for a skippable frame.

    A raw block's bytes and an RLE block's one byte count as literals.  Costs one decode, for the lengths.
    `CorruptError` names the block at fault.
    """
    if skippable(data[stored.start : stored.stop]):
        return ()
    frame = read_frame(data, stored, where=where)
    reader = Reader(data, frame.blocks)
    statistics = []
    lengths = decoded_lengths(data, frame, window_limit, where=where)
    for number, (block, decoded) in enumerate(zip(frame.blocks, lengths, strict=True)):
        try:
            sections = reader.sections(number)
        except CorruptError as error:
            raise _located(error, block, where) from None
        literals, sequences = (block.size, 0) if sections is None else (sections.regenerated, sections.sequences)
        place = (block.offset, block.kind, len(block.stored))
        statistics.append(BlockStatistics(*place, decoded=decoded, literals=literals, sequences=sequences))
    return tuple(statistics)


def frame_costs(
    data: Buffer,
    stored: Span,
    decoded: Buffer,
    offsets: Sequence[int],
    limit: int,
    *,
    where: str,
    open_all: bool = False,
) -> list[int]:
    """Stored bits of each range between consecutive `offsets` of what the frame at `stored` decodes to.

    `decoded` is the frame's output; `offsets` rise strictly from 0 to its length.  What no range is given (frame
    header, checksum, empty blocks, all of a skippable frame) is framing.  `open_all` checks every block, not only
    those that a boundary cuts.  Raises `CorruptError` naming the block at fault.
    """
    if skippable(data[stored.start : stored.stop]):
        return [0] * (len(offsets) - 1)
    frame = read_frame(data, stored, where=where)
    starts = _block_starts(data, frame, len(decoded), limit, where=where)
    reader = Reader(data, frame.blocks)
    view = memoryview(decoded)
    costs = [0] * (len(offsets) - 1)
    for number, (block, (start, stop)) in enumerate(zip(frame.blocks, pairwise(starts), strict=True)):
        if start == stop and not open_all:
            continue
        first, last = bisect_right(offsets, start) - 1, bisect_left(offsets, stop)
        cuts = [0, *(offset - start for offset in offsets[first + 1 : last]), stop - start]
        own = [0] * (len(cuts) - 1)
        if block.kind is BlockKind.RAW:
            own = [8 * (b - a) for a, b in pairwise(cuts)]
        elif block.kind is BlockKind.COMPRESSED and (len(own) > 1 or open_all):
            try:
                before = own_bits(reader, number, bytes(view[start:stop]), cuts)
            except CorruptError as error:
                raise _located(error, block, where) from None
            own = [b - a for a, b in pairwise(before)]
        if start < stop:
            weights = own if any(own) else [b - a for a, b in pairwise(cuts)]
            shared = apportion(8 * len(block.stored) - sum(own), weights)
            for i, bits in enumerate(map(add, own, shared)):
                costs[first + i] += bits
    return costs


def _block_starts(data: Buffer, frame: Frame, length: int, window_limit: int, *, where: str) -> list[int]:
    """Decoded offsets at which the frame's blocks start, and its length."""
    starts = list(accumulate(decoded_lengths(data, frame, window_limit, where=where), initial=0))
    if starts[-1] != length:
        raise CorruptError(
            f"{where}: the blocks of the zstd frame at byte {frame.stored.start} decode to {starts[-1]} bytes one by "
            f"one, expected {length}"
        )
    return starts


def _located(error: CorruptError, block: FrameBlock, where: str) -> CorruptError:
    return CorruptError(f"{where}: the zstd block at byte {block.offset} {error}")
